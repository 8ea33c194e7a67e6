"""Models that see: an image encoder beside a text model of a family that is described elsewhere.

The encoder's linears are quantized with the rest, and it stays in memory whether or not there are images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.memory.blocks import attention, norm, plain_mlp
from core.memory.config import Config
from core.memory.tensors import Kind, Tensor, embedding, layer_norm, linear


@dataclass(frozen=True)
class Seeing:
    """A text model's `model_type` and what stands beside it, reckoned from both parts of the config."""

    text: str
    stem: str
    beside: Callable[[Config, Config], Iterator[Tensor]]
    vision_defaults: Mapping[str, Any] = field(default_factory=dict)
    is_tied_by_default: bool = False


def _patches(name: str, c: Config, channels: str, *sides: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", (c.hidden, c.integer(channels), *sides), Kind.CONV)
    yield Tensor(f"{name}.bias", (c.hidden,), Kind.OTHER)


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
    for i in range(c.layers):
        for block in SIGLIP_LAYER:
            for one in block(c, i):
                yield one._replace(name=f"{tower}.encoder.layers.{i}.{one.name}")
    yield from layer_norm(f"{tower}.post_layernorm", c.hidden, bias=True)
    yield Tensor(f"{projector}.mm_input_projection_weight", (c.hidden, text.hidden), Kind.OTHER)
    yield from layer_norm(f"{projector}.mm_soft_emb_norm", c.hidden)


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


SEEING: dict[str, Seeing] = {
    "gemma3": Seeing(
        text="gemma3_text",
        stem="model.language_model",
        beside=siglip_and_projector,
        vision_defaults={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "num_channels": 3,
            "image_size": 224,
            "patch_size": 16,
        },
        is_tied_by_default=True,
    ),
    "qwen3_vl": Seeing(
        text="qwen3",
        stem="model.language_model",
        beside=qwen_tower,
        vision_defaults={
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "depth": 27,
            "in_channels": 3,
            "patch_size": 16,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "out_hidden_size": 3584,
            "num_position_embeddings": 2304,
            "deepstack_visual_indexes": [8, 16, 24],
        },
    ),
}
