"""Image encoders and what joins them to a text model, each from the two parts of a config."""

from __future__ import annotations

from collections.abc import Iterator

from core.memory.blocks import Block, attention, gated_mlp, head_norms, norm, plain_mlp
from core.memory.config import Config
from core.memory.tensors import Kind, Tensor, embedding, layer_norm, linear


def _patches(name: str, c: Config, channels: str, *sides: int, bias: bool = True) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", (c.hidden, c.integer(channels), *sides), Kind.CONV)
    if bias:
        yield Tensor(f"{name}.bias", (c.hidden,), Kind.OTHER)


def _layers(prefix: str, c: Config, blocks: tuple[Block, ...], n: int) -> Iterator[Tensor]:
    for i in range(n):
        for block in blocks:
            for one in block(c, i):
                yield one._replace(name=f"{prefix}.{i}.{one.name}")


SIGLIP_LAYER = (
    attention(out="out_proj", bias=True, out_bias=True),
    plain_mlp("mlp.fc1", "mlp.fc2", bias=True),
    norm("layer_norm1", "layer_norm2", bias=True),
)


def siglip_and_projector(text: Config, c: Config) -> Iterator[Tensor]:
    """Gemma 3's: a SigLIP tower and one projection."""
    tower, projector, side = "model.vision_tower", "model.multi_modal_projector", c.integer("patch_size")
    yield from _patches(f"{tower}.embeddings.patch_embedding", c, "num_channels", side, side)
    n_patches = (c.integer("image_size") // side) ** 2
    yield from embedding(f"{tower}.embeddings.position_embedding", n_patches, c.hidden)
    yield from _layers(f"{tower}.encoder.layers", c, SIGLIP_LAYER, c.layers)
    yield from layer_norm(f"{tower}.post_layernorm", c.hidden, bias=True)
    if c.flag("vision_use_head"):
        yield from _siglip_head(f"{tower}.head", c)
    yield Tensor(f"{projector}.mm_input_projection_weight", (c.hidden, text.hidden), Kind.OTHER)
    yield from layer_norm(f"{projector}.mm_soft_emb_norm", c.hidden)


def _siglip_head(prefix: str, c: Config) -> Iterator[Tensor]:
    inner, attending = c.integer("intermediate_size"), f"{prefix}.attention"
    yield Tensor(f"{prefix}.probe", (1, 1, c.hidden), Kind.OTHER)
    yield Tensor(f"{attending}.in_proj_weight", (3 * c.hidden, c.hidden), Kind.OTHER)
    yield Tensor(f"{attending}.in_proj_bias", (3 * c.hidden,), Kind.OTHER)
    yield from linear(f"{attending}.out_proj", c.hidden, c.hidden, bias=True, kind=Kind.LINEAR_SUBCLASS)
    yield from layer_norm(f"{prefix}.layernorm", c.hidden, bias=True)
    yield from linear(f"{prefix}.mlp.fc1", c.hidden, inner, bias=True)
    yield from linear(f"{prefix}.mlp.fc2", inner, c.hidden, bias=True)


def qwen_tower(_: Config, c: Config) -> Iterator[Tensor]:
    """Qwen3-VL's: blocks over patches of image and time, and mergers into the text model at several depths."""
    tower, side = "model.visual", c.integer("patch_size")
    yield from _patches(f"{tower}.patch_embed.proj", c, "in_channels", c.integer("temporal_patch_size"), side, side)
    yield from embedding(f"{tower}.pos_embed", c.integer("num_position_embeddings"), c.hidden)
    for i in range(c.integer("depth")):
        yield from _qwen_block(f"{tower}.blocks.{i}", c)
    merged = c.hidden * c.integer("spatial_merge_size") ** 2
    yield from _qwen_merger(f"{tower}.merger", c, merged, c.hidden)
    for i in range(len(c.integers("deepstack_visual_indexes"))):
        yield from _qwen_merger(f"{tower}.deepstack_merger_list.{i}", c, merged, merged)


def _qwen_block(prefix: str, c: Config) -> Iterator[Tensor]:
    inner = c.integer("intermediate_size")
    yield from layer_norm(f"{prefix}.norm1", c.hidden, bias=True)
    yield from layer_norm(f"{prefix}.norm2", c.hidden, bias=True)
    yield from linear(f"{prefix}.attn.qkv", c.hidden, 3 * c.hidden, bias=True)
    yield from linear(f"{prefix}.attn.proj", c.hidden, c.hidden, bias=True)
    yield from linear(f"{prefix}.mlp.linear_fc1", c.hidden, inner, bias=True)
    yield from linear(f"{prefix}.mlp.linear_fc2", inner, c.hidden, bias=True)


def _qwen_merger(prefix: str, c: Config, merged: int, norm_width: int) -> Iterator[Tensor]:
    yield from layer_norm(f"{prefix}.norm", norm_width, bias=True)
    yield from linear(f"{prefix}.linear_fc1", merged, merged, bias=True)
    yield from linear(f"{prefix}.linear_fc2", merged, c.integer("out_hidden_size"), bias=True)


PIXTRAL_LAYER = (attention("attention"), gated_mlp("feed_forward"), norm("attention_norm", "ffn_norm"))


def pixtral_and_projector(text: Config, c: Config) -> Iterator[Tensor]:
    """Mistral 3's: a Pixtral tower, a merger of patches and two projections."""
    tower, projector, side = "model.vision_tower", "model.multi_modal_projector", c.integer("patch_size")
    yield from _patches(f"{tower}.patch_conv", c, "num_channels", side, side, bias=False)
    yield from layer_norm(f"{tower}.ln_pre", c.hidden)
    yield from _layers(f"{tower}.transformer.layers", c, PIXTRAL_LAYER, c.layers)
    yield from layer_norm(f"{projector}.norm", c.hidden)
    merged = c.hidden * c.integer("spatial_merge_size") ** 2
    yield from linear(f"{projector}.patch_merger.merging_layer", merged, c.hidden)
    bias = c.flag("multimodal_projector_bias")
    yield from linear(f"{projector}.linear_1", c.hidden, text.hidden, bias=bias)
    yield from linear(f"{projector}.linear_2", text.hidden, text.hidden, bias=bias)


def _qwen25_block(c: Config, _: int) -> Iterator[Tensor]:
    yield from linear("attn.qkv", c.hidden, 3 * c.hidden, bias=True)
    yield from linear("attn.proj", c.hidden, c.hidden, bias=True)


QWEN25_LAYER = (_qwen25_block, gated_mlp(bias=True), norm("norm1", "norm2"))


def qwen25_tower(_: Config, c: Config) -> Iterator[Tensor]:
    """Qwen2.5-VL's: blocks with a gated MLP, and one merger."""
    tower, side = "model.visual", c.integer("patch_size")
    sides = (c.integer("temporal_patch_size"), side, side)
    yield from _patches(f"{tower}.patch_embed.proj", c, "in_channels", *sides, bias=False)
    yield from _layers(f"{tower}.blocks", c, QWEN25_LAYER, c.integer("depth"))
    merged = c.hidden * c.integer("spatial_merge_size") ** 2
    yield from layer_norm(f"{tower}.merger.ln_q", c.hidden)
    yield from linear(f"{tower}.merger.mlp.0", merged, merged, bias=True)
    yield from linear(f"{tower}.merger.mlp.2", merged, c.integer("out_hidden_size"), bias=True)


def _gemma4_layer(c: Config, i: int) -> Iterator[Tensor]:
    for block in (attention(bias="attention_bias", out_bias="attention_bias"), gated_mlp()):
        for one in block(c, i):
            yield one._replace(name=one.name.replace("_proj.", "_proj.linear."))  # each sits in a wrapper that may clip


GEMMA4_LAYER = (
    _gemma4_layer,
    head_norms("q_norm", "k_norm"),
    norm("input_layernorm", "post_attention_layernorm"),
    norm("pre_feedforward_layernorm", "post_feedforward_layernorm"),
)


def gemma4_tower(text: Config, c: Config) -> Iterator[Tensor]:
    """Gemma 4's: a tower over patches and one projection, which is the model's last linear and so is never packed."""
    if not c.raw:
        return
    tower, inputs = "model.vision_tower", 3 * c.integer("patch_size") ** 2
    shape = (2, c.integer("position_embedding_size"), c.hidden)
    yield Tensor(f"{tower}.patch_embedder.position_embedding_table", shape, Kind.OTHER)
    yield from linear(f"{tower}.patch_embedder.input_proj", inputs, c.hidden)
    yield from _layers(f"{tower}.encoder.layers", c, GEMMA4_LAYER, c.layers)
    yield from linear("model.embed_vision.embedding_projection", c.hidden, text.hidden, kind=Kind.OTHER)
