"""Models whose layers differ from each other in more than their window: Gemma 4, Llama 4, Nemotron-H."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import BadConfig
from core.memory.blocks import attention, gated_mlp, norm, plain_mlp, unless, when, where
from core.memory.config import CHUNKED, FULL, LINEAR_ATTENTION, MLP, MOE, MOST_LAYERS, SLIDING, Config
from core.memory.families.sizes import sizes
from core.memory.family import EAGER, SDPA, Family, alternating
from core.memory.layers import LayerCache, grouped, mamba2_state
from core.memory.mixers import mamba2
from core.memory.tensors import Kind, Tensor, embedding, layer_norm, linear

# --- Gemma 4: wide heads in the layers that see everything, caches that later layers share, vectors for each layer


def _heads_of(c: Config, i: int) -> tuple[int, int]:
    """(key heads, head width) of a layer."""
    if c.types[i] != FULL:
        return c.kv_heads, c.head_dim
    shared = c.optional("num_global_key_value_heads", least=1) if c.flag("attention_k_eq_v") else None
    return shared or c.kv_heads, c.integer("global_head_dim")


def _reuses_cache(c: Config, i: int) -> bool:
    return i >= c.layers - c.count("num_kv_shared_layers")


def _gemma4_attention(c: Config, i: int) -> Iterator[Tensor]:
    (kv_heads, width), bias = _heads_of(c, i), c.flag("attention_bias")
    yield from linear("self_attn.q_proj", c.hidden, c.heads * width, bias=bias)
    yield from layer_norm("self_attn.q_norm", width)
    if not _reuses_cache(c, i):
        yield from linear("self_attn.k_proj", c.hidden, kv_heads * width, bias=bias)
        yield from layer_norm("self_attn.k_norm", width)
        if not (c.flag("attention_k_eq_v") and c.types[i] == FULL):
            yield from linear("self_attn.v_proj", c.hidden, kv_heads * width, bias=bias)
    yield from linear("self_attn.o_proj", c.heads * width, c.hidden, bias=bias)


def _gemma4_mlp(c: Config, i: int) -> Iterator[Tensor]:
    inner = c.integer("intermediate_size") * (2 if c.flag("use_double_wide_mlp") and _reuses_cache(c, i) else 1)
    yield from linear("mlp.gate_proj", c.hidden, inner)
    yield from linear("mlp.up_proj", c.hidden, inner)
    yield from linear("mlp.down_proj", inner, c.hidden)


def _gemma4_experts(c: Config, _: int) -> Iterator[Tensor]:
    n, inner = c.integer("num_experts"), c.integer("moe_intermediate_size")
    yield Tensor("router.scale", (c.hidden,), Kind.OTHER)
    yield Tensor("router.per_expert_scale", (n,), Kind.OTHER)
    yield from linear("router.proj", c.hidden, n)
    yield Tensor("experts.gate_up_proj", (n, 2 * inner, c.hidden), Kind.FUSED_EXPERT)
    yield Tensor("experts.down_proj", (n, c.hidden, inner), Kind.FUSED_EXPERT)
    for name in ("post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2"):
        yield from layer_norm(name, c.hidden)


def _layer_vectors(c: Config, _: int) -> Iterator[Tensor]:
    if width := c.count("hidden_size_per_layer_input"):
        yield from linear("per_layer_input_gate", c.hidden, width)
        yield from linear("per_layer_projection", width, c.hidden)
        yield from layer_norm("post_per_layer_input_norm", c.hidden)


def _all_layer_vectors(c: Config, _: int) -> Iterator[Tensor]:
    if width := c.count("hidden_size_per_layer_input"):
        yield from embedding("embed_tokens_per_layer", c.integer("vocab_size_per_layer_input"), c.layers * width)
        yield from linear("per_layer_model_projection", c.hidden, c.layers * width)
        yield from layer_norm("per_layer_projection_norm", width)


def _gemma4_cache(c: Config, i: int) -> LayerCache:
    if _reuses_cache(c, i):
        return LayerCache("an earlier layer's cache")
    kv_heads, width = _heads_of(c, i)
    window = c.optional("sliding_window") if c.types[i] == SLIDING else None
    return LayerCache("sliding window" if window else "full attention", 2 * kv_heads * width, window)


def _gemma4_type(c: Config, i: int) -> str:
    return FULL if i == c.layers - 1 else alternating(6)(c, i)


# --- Llama 4: experts in some layers, and chunks of attention in most


def _has_llama4_experts(c: Config, i: int) -> bool:
    if c.value("moe_layers") is not None:
        return i in c.integers("moe_layers")
    return (i + 1) % c.integer("interleave_moe_layer_step") == 0


def _llama4_experts(c: Config, _: int) -> Iterator[Tensor]:
    n, inner = c.integer("num_local_experts"), c.integer("intermediate_size")
    yield Tensor("feed_forward.experts.gate_up_proj", (n, c.hidden, 2 * inner), Kind.FUSED_EXPERT)
    yield Tensor("feed_forward.experts.down_proj", (n, inner, c.hidden), Kind.FUSED_EXPERT)
    yield from linear("feed_forward.router", c.hidden, n, kind=Kind.LINEAR_SUBCLASS)


def _llama4_type(c: Config, i: int) -> str:
    listed, interval = c.integers("no_rope_layers"), c.optional("no_rope_layer_interval", least=1) or 4
    return CHUNKED if (listed[i] if i < len(listed) else (i + 1) % interval) else FULL


# --- Nemotron-H: each layer is one thing alone, a state space, attention, an MLP or experts

PATTERN = {"M": LINEAR_ATTENTION, "*": FULL, "-": MLP, "E": MOE}


def _with_types(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The file with its layers listed, which older files give as a word of one letter a layer."""
    listed, pattern = raw.get("layers_block_type") or raw.get("layer_types"), raw.get("hybrid_override_pattern")
    if listed is None and pattern is not None:
        if not isinstance(pattern, str) or not 0 < len(pattern) <= MOST_LAYERS or set(pattern) - PATTERN.keys():
            raise BadConfig("config.json: hybrid_override_pattern is not one of M, *, - and E for each layer.")
        listed = [PATTERN[letter] for letter in pattern]
    listed = [LINEAR_ATTENTION, MOE, FULL, MLP] if listed is None else listed
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_LAYERS:
        raise BadConfig("config.json: layers_block_type is no list of a sane number of layers.")
    return {**raw, "layer_types": listed, "num_hidden_layers": len(listed)}


def _is(kind: str) -> Any:
    return lambda c, i: c.types[i] == kind


def _nemotron_experts(c: Config, _: int) -> Iterator[Tensor]:
    n, inner = c.integer("n_routed_experts"), c.integer("moe_intermediate_size")
    latent, bias = c.optional("moe_latent_size", least=1), c.flag("mlp_bias")
    width = latent or c.hidden
    yield Tensor("mixer.experts.up_proj", (n, inner, width), Kind.FUSED_EXPERT)
    yield Tensor("mixer.experts.down_proj", (n, width, inner), Kind.FUSED_EXPERT)
    yield from linear("mixer.gate", c.hidden, n, kind=Kind.OTHER)
    shared = c.integer("moe_shared_expert_intermediate_size")
    yield from linear("mixer.shared_experts.up_proj", c.hidden, shared, bias=bias)
    yield from linear("mixer.shared_experts.down_proj", shared, c.hidden, bias=bias)
    if latent:
        yield from linear("mixer.fc1_latent_proj", c.hidden, latent, bias=bias)
        yield from linear("mixer.fc2_latent_proj", latent, c.hidden, bias=bias)


def _nemotron_cache(c: Config, i: int) -> LayerCache:
    if c.types[i] in (MOE, MLP):
        return LayerCache("no cache")
    return mamba2_state(c, i) if c.types[i] == LINEAR_ATTENTION else grouped(c, i)


MIXED: dict[str, Family] = {
    "gemma4_text": Family(
        layer=(
            _gemma4_attention,
            _gemma4_mlp,
            norm("input_layernorm", "post_attention_layernorm"),
            norm("pre_feedforward_layernorm", "post_feedforward_layernorm"),
            _layer_vectors,
            when(where("enable_moe_block"), _gemma4_experts),
        ),
        defaults=sizes(
            262_144,
            2304,
            9216,
            30,
            8,
            4,
            head_dim=256,
            global_head_dim=512,
            sliding_window=512,
            hidden_size_per_layer_input=256,
            vocab_size_per_layer_input=262_144,
            tie_word_embeddings=True,
        ),
        outside=(norm("norm"), _all_layer_vectors),
        types=_gemma4_type,
        cache=_gemma4_cache,
    ),
    "llama4_text": Family(
        layer=(
            attention(bias="attention_bias", out_bias="attention_bias"),
            unless(_has_llama4_experts, gated_mlp("feed_forward", width="intermediate_size_mlp")),
            when(_has_llama4_experts, _llama4_experts, gated_mlp("feed_forward.shared_expert")),
            norm("input_layernorm", "post_attention_layernorm"),
        ),
        defaults=sizes(
            202_048,
            5120,
            8192,
            48,
            40,
            8,
            head_dim=128,
            intermediate_size_mlp=16_384,
            num_local_experts=16,
            interleave_moe_layer_step=1,
            attention_chunk_size=8192,
        ),
        types=_llama4_type,
        attentions=(EAGER, SDPA),
    ),
    "nemotron_h": Family(
        layer=(
            norm("norm"),
            when(_is(LINEAR_ATTENTION), mamba2("mixer", bias="use_bias", conv_bias="use_conv_bias")),
            when(_is(FULL), attention("mixer", bias="attention_bias", out_bias="attention_bias")),
            when(_is(MLP), plain_mlp("mixer.up_proj", "mixer.down_proj", bias="mlp_bias")),
            when(_is(MOE), _nemotron_experts),
        ),
        defaults=sizes(
            131_072,
            4096,
            21_504,
            4,
            32,
            8,
            head_dim=128,
            ssm_heads=128,
            ssm_head_dim=64,
            n_groups=8,
            state_size=128,
            conv_kernel=4,
            use_conv_bias=True,
            n_routed_experts=8,
            moe_intermediate_size=7688,
            moe_shared_expert_intermediate_size=7688,
        ),
        names={"ssm_heads": "mamba_num_heads", "ssm_head_dim": "mamba_head_dim", "state_size": "ssm_state_size"},
        outside=(norm("norm_f"),),
        embed="embeddings",
        cache=_nemotron_cache,
        prepare=_with_types,
    ),
}
