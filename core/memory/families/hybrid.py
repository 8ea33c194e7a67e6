"""State-space models, and those that mix such layers with attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core.memory.blocks import Block, attention, gated_mlp, head_norms, norm, unless, when
from core.memory.config import CONV, FULL, LINEAR_ATTENTION, Config
from core.memory.experts import by_sparse_step, every, experts, shared_gate
from core.memory.families.dense import ATTENTION, TWO_NORMS
from core.memory.families.sizes import sizes
from core.memory.family import EAGER, Family, alternating
from core.memory.layers import both, conv_state, delta_state, hybrid, mamba2_state, mamba_state
from core.memory.mixers import delta_net, has_state, mamba, mamba2, mamba_rank, short_convolution
from core.memory.tensors import Tensor, layer_norm, linear

HEAD_NORMS = head_norms("q_norm", "k_norm")
MAMBA_KEYS = {"state_size": "mamba_d_state", "conv_kernel": "mamba_d_conv", "expand": "mamba_expand"}
MAMBA2_KEYS = {**MAMBA_KEYS, "ssm_heads": "mamba_n_heads", "ssm_head_dim": "mamba_d_head", "n_groups": "mamba_n_groups"}


def _jamba_type(c: Config, i: int) -> str:
    return FULL if every("attn_layer_period", "attn_layer_offset")(c, i) else LINEAR_ATTENTION


def _jamba_has_experts(c: Config, i: int) -> bool:
    return c.count("num_experts") > 1 and every("expert_layer_period", "expert_layer_offset")(c, i)


def _jamba_norms(c: Config, _: int) -> Iterator[Tensor]:
    yield from layer_norm("mamba.dt_layernorm", mamba_rank(c))
    yield from layer_norm("mamba.b_layernorm", c.integer("state_size"))
    yield from layer_norm("mamba.c_layernorm", c.integer("state_size"))


def _bamba_type(c: Config, i: int) -> str:
    return FULL if i in c.integers("attn_layer_indices") else LINEAR_ATTENTION


def _lfm2_type(c: Config, i: int) -> str:
    listed = c.value("full_attn_idxs")
    return FULL if listed is None or i in c.integers("full_attn_idxs") else CONV


def _lfm2_mlp(c: Config, _: int) -> Iterator[Tensor]:
    inner = c.optional("block_ff_dim", least=1) or c.integer("intermediate_size")
    if c.flag("block_auto_adjust_ff_dim"):
        multiplier, step = c.factor("block_ffn_dim_multiplier"), c.integer("block_multiple_of")
        inner = int(multiplier * (2 * inner // 3))
        inner = step * -(-inner // step)
    yield from linear("feed_forward.w1", c.hidden, inner)
    yield from linear("feed_forward.w3", c.hidden, inner)
    yield from linear("feed_forward.w2", inner, c.hidden)


def with_delta_net(*, is_split: bool) -> tuple[Block, ...]:
    """The attention of Qwen3-Next: delta nets in most layers, gated attention in the others."""
    return (
        when(has_state, delta_net(is_split=is_split)),
        unless(has_state, attention(bias="attention_bias", out_bias="attention_bias", query_factor=2), HEAD_NORMS),
        TWO_NORMS,
    )


MAMBA = Family(
    layer=(mamba("mixer", bias="use_bias", conv_bias="use_conv_bias"), norm("norm")),
    defaults={
        "vocab_size": 50_280,
        "hidden_size": 768,
        "num_hidden_layers": 32,
        "state_size": 16,
        "expand": 2,
        "conv_kernel": 4,
        "use_conv_bias": True,
        "tie_word_embeddings": True,
    },
    outside=(norm("norm_f"),),
    stem="backbone",
    embed="embeddings",
    types=lambda c, i: LINEAR_ATTENTION,
    cache=mamba_state,
    attentions=(EAGER,),
)
DELTA_SIZES = {
    "head_dim": 256,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
}
MAMBA2_SIZES = {
    "ssm_heads": 128,
    "ssm_head_dim": 64,
    "n_groups": 1,
    "state_size": 256,
    "conv_kernel": 4,
    "mamba_conv_bias": True,
}
HYBRID_NORMS = norm("input_layernorm", "pre_ff_layernorm")

HYBRID: dict[str, Family] = {
    "mamba": MAMBA,
    "falcon_mamba": MAMBA,
    "mamba2": replace(
        MAMBA,
        layer=(mamba2("mixer", bias="use_bias", conv_bias="use_conv_bias"), norm("norm")),
        defaults={
            **MAMBA.defaults,
            "vocab_size": 32_768,
            "hidden_size": 4096,
            "num_hidden_layers": 64,
            "state_size": 128,
            "ssm_heads": 128,
            "ssm_head_dim": 64,
            "n_groups": 8,
            "tie_word_embeddings": False,
        },
        names={"ssm_heads": "num_heads", "ssm_head_dim": "head_dim"},
        cache=mamba2_state,
    ),
    "jamba": Family(
        layer=(
            when(has_state, mamba("mamba", bias="mamba_proj_bias", conv_bias="mamba_conv_bias"), _jamba_norms),
            unless(has_state, attention()),
            unless(_jamba_has_experts, gated_mlp("feed_forward")),
            when(_jamba_has_experts, experts("feed_forward", "router", number="num_experts")),
            HYBRID_NORMS,
        ),
        defaults=sizes(
            65_536,
            4096,
            14_336,
            32,
            32,
            8,
            num_experts=16,
            expert_layer_period=2,
            expert_layer_offset=1,
            attn_layer_period=8,
            attn_layer_offset=4,
            state_size=16,
            conv_kernel=4,
            expand=2,
            mamba_conv_bias=True,
        ),
        names={**MAMBA_KEYS, "time_step_rank": "mamba_dt_rank"},
        outside=(norm("final_layernorm"),),
        types=_jamba_type,
        cache=hybrid(mamba_state),
    ),
    "bamba": Family(
        layer=(
            when(has_state, mamba2("mamba", bias="mamba_proj_bias", conv_bias="mamba_conv_bias")),
            unless(has_state, ATTENTION),
            gated_mlp("feed_forward", bias="mlp_bias"),
            HYBRID_NORMS,
        ),
        defaults=sizes(128_000, 4096, 14_336, 32, 32, 8, **MAMBA2_SIZES),
        names=MAMBA2_KEYS,
        outside=(norm("final_layernorm"),),
        types=_bamba_type,
        cache=hybrid(mamba2_state),
    ),
    "falcon_h1": Family(
        layer=(
            mamba2("mamba", bias="mamba_proj_bias", conv_bias="mamba_conv_bias", has_norm="mamba_rms_norm"),
            ATTENTION,
            gated_mlp("feed_forward", bias="mlp_bias"),
            HYBRID_NORMS,
        ),
        defaults=sizes(128_000, 4096, 14_336, 32, 32, 8, **{**MAMBA2_SIZES, "ssm_head_dim": 8}),
        names=MAMBA2_KEYS,
        outside=(norm("final_layernorm"),),
        cache=both(mamba2_state),
    ),
    "qwen3_next": Family(
        layer=(
            *with_delta_net(is_split=False),
            unless(by_sparse_step, gated_mlp()),
            when(
                by_sparse_step,
                experts(number="num_experts", width="moe_intermediate_size"),
                gated_mlp("mlp.shared_expert", width="shared_expert_intermediate_size"),
                shared_gate,
            ),
        ),
        defaults=sizes(
            151_936,
            2048,
            5632,
            48,
            16,
            2,
            num_experts=512,
            moe_intermediate_size=512,
            shared_expert_intermediate_size=512,
            decoder_sparse_step=1,
            **DELTA_SIZES,
        ),
        types=alternating(4, "full_attention_interval", LINEAR_ATTENTION),
        cache=hybrid(delta_state),
    ),
    "qwen3_5_text": Family(
        layer=(*with_delta_net(is_split=True), gated_mlp()),
        defaults=sizes(248_320, 4096, 12_288, 32, 16, 4, **DELTA_SIZES),
        types=alternating(4, "full_attention_interval", LINEAR_ATTENTION),
        cache=hybrid(delta_state),
    ),
    "lfm2": Family(
        layer=(
            when(has_state, short_convolution),
            unless(has_state, attention(out="out_proj"), head_norms("q_layernorm", "k_layernorm")),
            _lfm2_mlp,
            norm("operator_norm", "ffn_norm"),
        ),
        defaults=sizes(
            65_536,
            2560,
            12_288,
            32,
            32,
            8,
            conv_L_cache=3,
            block_multiple_of=256,
            block_auto_adjust_ff_dim=True,
            tie_word_embeddings=True,
        ),
        outside=(norm("embedding_norm"),),
        types=_lfm2_type,
        cache=hybrid(conv_state),
    ),
}
