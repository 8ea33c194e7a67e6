"""Further decoders, mostly variations of those in `dense`, `sparse` and `hybrid`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core.memory.blocks import attention, gated_mlp, head_norms, norm, plain_mlp, unless, when, wide_norms
from core.memory.config import CONV, FULL, LINEAR_ATTENTION, Config
from core.memory.experts import after_dense, experts, shared_experts, shared_gate
from core.memory.families.dense import (
    ATTENTION,
    BIASED_NORMS,
    GEMMA2,
    HEAD_NORMS,
    LLAMA,
    NORMS_AFTER,
    OLMO2,
    QWEN2,
    TWO_NORMS,
)
from core.memory.families.hybrid import DELTA_SIZES, HYBRID, MAMBA2_KEYS, MAMBA2_SIZES, with_delta_net
from core.memory.families.sizes import sizes
from core.memory.families.sparse import DEEPSEEK_V2, MOE_WIDTH, SPARSE
from core.memory.family import Family
from core.memory.layers import hybrid, mamba2_state
from core.memory.mixers import has_state, latent_attention, mamba2, short_convolution
from core.memory.tensors import Kind, Tensor, linear


def _shared_mlp(c: Config, _: int) -> Iterator[Tensor]:
    if inner := c.count("shared_intermediate_size"):
        yield from linear("shared_mlp.input_linear", c.hidden, 2 * inner)
        yield from linear("shared_mlp.output_linear", inner, c.hidden)


def _has_granite_experts(c: Config, _: int) -> bool:
    return c.count("num_local_experts") > 0


def _has_ernie_experts(c: Config, i: int) -> bool:
    last = c.optional("moe_layer_end_index")
    is_within = c.count("moe_layer_start_index") <= i <= (c.layers - 1 if last is None else last)
    return is_within and (i + 1) % c.integer("moe_layer_interval") == 0


def _ernie_bias(c: Config, _: int) -> Iterator[Tensor]:
    yield Tensor("mlp.gate.moe_statics.e_score_correction_bias", (1, c.integer("moe_num_experts")), Kind.OTHER)


def _after_lfm2_dense(c: Config, i: int) -> bool:
    return i >= c.count("num_dense_layers")


GRANITE_MOE = (experts("block_sparse_moe", "router"), _shared_mlp)
BIASED_FINAL_NORM = (norm("norm", bias=True),)

FURTHER: dict[str, Family] = {
    "internlm3": replace(
        LLAMA,
        defaults=sizes(128_512, 4096, 10_240, 48, 32, 2),
        names={"attention_bias": "qkv_bias", "mlp_bias": "bias"},
    ),
    "hunyuan_v1_dense": replace(
        LLAMA,
        layer=(ATTENTION, gated_mlp(), TWO_NORMS, head_norms("query_layernorm", "key_layernorm")),
        defaults=sizes(290_943, 4096, 11_008, 32, 32),
    ),
    "bitnet": replace(
        LLAMA,
        layer=(
            ATTENTION,
            gated_mlp(),
            TWO_NORMS,
            norm("self_attn.attn_sub_norm"),
            norm("mlp.ffn_sub_norm", width="intermediate_size"),
        ),
        defaults=sizes(128_256, 2560, 6912, 30, 20, 5),
    ),
    "vaultgemma": replace(GEMMA2, layer=(ATTENTION, gated_mlp(), norm("input_layernorm", "pre_feedforward_layernorm"))),
    "jais2": replace(
        LLAMA,
        layer=(ATTENTION, plain_mlp("mlp.up_proj", "mlp.down_proj", bias="mlp_bias"), BIASED_NORMS),
        defaults=sizes(150_272, 3328, 26_624, 32, 26, attention_bias=True, mlp_bias=True),
        outside=BIASED_FINAL_NORM,
    ),
    "nemotron": replace(
        LLAMA,
        layer=(ATTENTION, plain_mlp("mlp.up_proj", "mlp.down_proj", bias="mlp_bias"), BIASED_NORMS),
        defaults=sizes(256_000, 6144, 24_576, 32, 48),
        outside=BIASED_FINAL_NORM,
    ),
    "nanochat": replace(
        LLAMA,
        layer=(ATTENTION, plain_mlp("mlp.fc1", "mlp.fc2")),
        defaults=sizes(50_304, 768, 8192, 12, 6),
        outside=(),  # its norms have no parameters
        ends_in_linear=True,
    ),
    "youtu": Family(
        layer=(latent_attention, gated_mlp(), TWO_NORMS),
        defaults={
            **DEEPSEEK_V2.defaults,
            **sizes(128_256, 2048, 6144, 32, 16, 16, tie_word_embeddings=True),
        },
        cache=DEEPSEEK_V2.cache,
    ),
    "dots1": Family(
        layer=(
            ATTENTION,
            HEAD_NORMS,
            unless(after_dense, gated_mlp()),
            when(after_dense, experts(number="n_routed_experts", width=MOE_WIDTH), shared_experts()),
            TWO_NORMS,
        ),
        defaults=sizes(152_064, 4608, 10_944, 62, 32, 32, moe_intermediate_size=1408, sliding_window=4096),
        types=QWEN2.types,
    ),
    "solar_open": replace(
        SPARSE["glm4_moe"],
        defaults=sizes(
            196_608,
            4096,
            None,
            48,
            64,
            8,
            head_dim=128,
            n_routed_experts=128,
            n_shared_experts=1,
            moe_intermediate_size=1280,
        ),
    ),
    "flex_olmo": replace(
        OLMO2,
        layer=(ATTENTION, experts(number="num_experts"), NORMS_AFTER, wide_norms()),
        defaults=sizes(100_352, 4096, 11_008, 32, 32, num_experts=7),
    ),
    "granitemoeshared": replace(SPARSE["granitemoe"], layer=(ATTENTION, *GRANITE_MOE, TWO_NORMS)),
    "granitemoehybrid": Family(
        layer=(
            when(has_state, mamba2("mamba", bias="mamba_proj_bias", conv_bias="mamba_conv_bias")),
            unless(has_state, ATTENTION),
            when(_has_granite_experts, GRANITE_MOE[0]),
            _shared_mlp,
            TWO_NORMS,
        ),
        defaults=sizes(
            32_000, 4096, 11_008, 32, 32, num_local_experts=8, shared_intermediate_size=1024, **MAMBA2_SIZES
        ),
        names=MAMBA2_KEYS,
        types=lambda c, i: LINEAR_ATTENTION,
        cache=hybrid(mamba2_state),
    ),
    "ernie4_5_moe": Family(
        layer=(
            attention(bias="use_bias", out_bias="use_bias"),
            unless(_has_ernie_experts, gated_mlp(bias="use_bias")),
            when(
                _has_ernie_experts,
                experts(number="moe_num_experts", width=MOE_WIDTH),
                _ernie_bias,
                shared_experts(number="moe_num_shared_experts"),
            ),
            TWO_NORMS,
        ),
        defaults=sizes(
            103_424,
            2560,
            12_288,
            28,
            20,
            4,
            moe_num_experts=64,
            moe_num_shared_experts=2,
            moe_intermediate_size=1536,
            moe_layer_start_index=1,
            moe_layer_interval=1,
            tie_word_embeddings=True,
        ),
    ),
    "qwen3_5_moe_text": Family(
        layer=(
            *with_delta_net(is_split=True),
            experts(number="num_experts", width=MOE_WIDTH),
            gated_mlp("mlp.shared_expert", width="shared_expert_intermediate_size"),
            shared_gate,
        ),
        defaults=sizes(
            248_320,
            2048,
            None,
            40,
            16,
            2,
            num_experts=256,
            moe_intermediate_size=512,
            shared_expert_intermediate_size=512,
            **DELTA_SIZES,
        ),
        types=HYBRID["qwen3_next"].types,
        cache=HYBRID["qwen3_next"].cache,
    ),
    "lfm2_moe": replace(
        HYBRID["lfm2"],
        layer=(
            when(has_state, short_convolution),
            unless(has_state, attention(out="out_proj"), head_norms("q_layernorm", "k_layernorm")),
            unless(_after_lfm2_dense, gated_mlp("feed_forward", "w1", "w3", "w2")),
            when(_after_lfm2_dense, experts("feed_forward", number="num_experts", width=MOE_WIDTH)),
            norm("operator_norm", "ffn_norm"),
        ),
        defaults=sizes(
            65_536,
            2048,
            7168,
            32,
            32,
            8,
            conv_L_cache=3,
            num_experts=32,
            num_dense_layers=2,
            moe_intermediate_size=1792,
            tie_word_embeddings=True,
        ),
        types=lambda c, i: CONV if c.value("layer_types") is None else FULL,
    ),
}
