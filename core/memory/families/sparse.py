"""Decoders with mixtures of experts."""

from __future__ import annotations

from dataclasses import replace

from core.memory.blocks import attention, gated_mlp, head_norms, norm, unless, vector, when, where, wide_norms
from core.memory.config import FULL, SLIDING, Config
from core.memory.experts import after_dense, biased_experts, by_sparse_step, experts, shared_experts, shared_gate
from core.memory.families.dense import ATTENTION, BIASED_NORMS, TWO_NORMS
from core.memory.families.sizes import sizes
from core.memory.family import EAGER, FLASH, Family, alternating, windowed
from core.memory.layers import latent
from core.memory.mixers import latent_attention

HEAD_NORMS = head_norms("q_norm", "k_norm")
MOE_WIDTH = "moe_intermediate_size"


def _qwen2_moe_window(c: Config, i: int) -> str:
    is_on = c.flag("use_sliding_window") and c.optional("sliding_window")
    return SLIDING if is_on and (i + 1) % 2 and i < c.count("max_window_layers") else FULL


def _qwen3_moe_window(c: Config, _: int) -> str:
    return SLIDING if c.flag("use_sliding_window") and c.optional("sliding_window") else FULL


QWEN2_MOE = Family(
    layer=(
        attention(bias="qkv_bias"),
        unless(by_sparse_step, gated_mlp()),
        when(
            by_sparse_step,
            experts(number="num_experts", width=MOE_WIDTH),
            gated_mlp("mlp.shared_expert", width="shared_expert_intermediate_size"),
            shared_gate,
        ),
        TWO_NORMS,
    ),
    defaults=sizes(
        151_936,
        2048,
        5632,
        24,
        16,
        16,
        qkv_bias=True,
        num_experts=60,
        moe_intermediate_size=1408,
        shared_expert_intermediate_size=5632,
        decoder_sparse_step=1,
        sliding_window=4096,
        max_window_layers=28,
    ),
    types=_qwen2_moe_window,
)
DEEPSEEK_V2 = Family(
    layer=(
        latent_attention,
        unless(after_dense, gated_mlp(bias="mlp_bias")),
        when(after_dense, experts(number="n_routed_experts", width=MOE_WIDTH), shared_experts()),
        TWO_NORMS,
    ),
    defaults=sizes(
        102_400,
        4096,
        11_008,
        32,
        32,
        kv_lora_rank=512,
        q_lora_rank=1536,
        qk_nope_head_dim=128,
        qk_rope_head_dim=64,
        v_head_dim=128,
        n_routed_experts=64,
        n_shared_experts=2,
        moe_intermediate_size=1407,
    ),
    cache=latent,
)

SPARSE: dict[str, Family] = {
    "mixtral": Family(
        layer=(attention(), experts(), TWO_NORMS),
        defaults=sizes(32_000, 4096, 14_336, 32, 32, 8, num_local_experts=8),
        types=windowed,
    ),
    "qwen2_moe": QWEN2_MOE,
    "qwen3_moe": Family(
        layer=(
            ATTENTION,
            HEAD_NORMS,
            unless(by_sparse_step, gated_mlp()),
            when(by_sparse_step, experts(number="num_experts", width=MOE_WIDTH)),
            TWO_NORMS,
        ),
        defaults=sizes(
            151_936,
            2048,
            6144,
            24,
            32,
            4,
            num_experts=128,
            moe_intermediate_size=768,
            decoder_sparse_step=1,
            sliding_window=4096,
        ),
        names={"num_experts": "num_local_experts"},
        types=_qwen3_moe_window,
    ),
    "olmoe": Family(
        layer=(ATTENTION, wide_norms(), experts(number="num_experts"), TWO_NORMS),
        defaults=sizes(50_304, 2048, 2048, 16, 16, num_experts=64),
    ),
    "granitemoe": Family(
        layer=(ATTENTION, experts("block_sparse_moe", "router"), TWO_NORMS),
        defaults=sizes(32_000, 4096, 11_008, 32, 32, num_local_experts=8),
    ),
    "phimoe": Family(
        layer=(
            attention(bias="attention_bias", out_bias="attention_bias"),
            experts(router="router"),
            BIASED_NORMS,
        ),
        defaults=sizes(32_064, 4096, 6400, 32, 32, 8, num_local_experts=16),
        outside=(norm("norm", bias=True),),
        head_bias="lm_head_bias",
        types=windowed,
    ),
    "gpt_oss": Family(
        layer=(
            ATTENTION,
            vector("self_attn.sinks", lambda c: c.heads),
            biased_experts,
            TWO_NORMS,
        ),
        defaults=sizes(
            201_088,
            2880,
            2880,
            36,
            64,
            8,
            head_dim=64,
            num_local_experts=128,
            attention_bias=True,
            sliding_window=128,
        ),
        types=alternating(2),
        attentions=(EAGER, FLASH),  # its sinks are no part of sdpa
    ),
    "deepseek_v2": DEEPSEEK_V2,
    "deepseek_v3": replace(
        DEEPSEEK_V2,
        defaults=sizes(
            129_280,
            7168,
            18_432,
            61,
            128,
            128,
            kv_lora_rank=512,
            q_lora_rank=1536,
            qk_nope_head_dim=128,
            qk_rope_head_dim=64,
            v_head_dim=128,
            n_routed_experts=256,
            n_shared_experts=1,
            moe_intermediate_size=2048,
            first_k_dense_replace=3,
        ),
    ),
    "glm4_moe": Family(
        layer=(
            attention(bias="attention_bias"),
            when(where("use_qk_norm"), HEAD_NORMS),
            unless(after_dense, gated_mlp()),
            when(after_dense, experts(number="n_routed_experts", width=MOE_WIDTH), shared_experts()),
            TWO_NORMS,
        ),
        defaults=sizes(
            151_552,
            4096,
            10_944,
            46,
            96,
            8,
            n_routed_experts=128,
            n_shared_experts=1,
            moe_intermediate_size=1408,
            first_k_dense_replace=1,
        ),
    ),
}
