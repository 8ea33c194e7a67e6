"""Dense decoders of today's shape: separate projections, a gated MLP, rotary positions."""

from __future__ import annotations

from dataclasses import replace

from core.memory.blocks import (
    attention,
    fused_attention,
    fused_gated_mlp,
    gated_mlp,
    head_norms,
    norm,
    norms_of_each_head,
    plain_mlp,
    square_norms,
    unless,
    vector,
    when,
    where,
    wide_norms,
)
from core.memory.config import FULL, SLIDING, Config
from core.memory.families.sizes import sizes
from core.memory.family import EAGER, FLASH, Family, alternating, late_windows, windowed

TWO_NORMS = norm("input_layernorm", "post_attention_layernorm")
BIASED_NORMS = norm("input_layernorm", "post_attention_layernorm", bias=True)
FEEDFORWARD_NORMS = norm("pre_feedforward_layernorm", "post_feedforward_layernorm")
NORMS_AFTER = norm("post_attention_layernorm", "post_feedforward_layernorm")
ATTENTION = attention(bias="attention_bias", out_bias="attention_bias")
HEAD_NORMS = head_norms("q_norm", "k_norm")


def _smollm3_window(c: Config, i: int) -> str:
    listed, interval = c.integers("no_rope_layers"), c.optional("no_rope_layer_interval", least=1) or 4
    has_rope = listed[i] if i < len(listed) else (i + 1) % interval
    is_sliding = c.flag("use_sliding_window") and c.optional("sliding_window") and not has_rope
    return SLIDING if is_sliding else FULL


LLAMA = Family(
    layer=(ATTENTION, gated_mlp(bias="mlp_bias"), TWO_NORMS),
    defaults=sizes(32_000, 4096, 11_008, 32, 32),
)
MISTRAL = Family(
    layer=(attention(), gated_mlp(), TWO_NORMS),
    defaults=sizes(32_000, 4096, 14_336, 32, 32, 8, sliding_window=4096),
    types=windowed,
)
QWEN2 = Family(
    layer=(attention(bias=True), gated_mlp(), TWO_NORMS),
    defaults=sizes(151_936, 4096, 22_016, 32, 32, 32, sliding_window=4096, max_window_layers=28),
    types=late_windows,
)
GEMMA = Family(
    layer=(ATTENTION, gated_mlp(), TWO_NORMS),
    defaults=sizes(256_000, 3072, 24_576, 28, 16, 16, head_dim=256, tie_word_embeddings=True),
)
GEMMA2_SIZES = sizes(256_000, 2304, 9216, 26, 8, 4, head_dim=256, sliding_window=4096, tie_word_embeddings=True)
GEMMA2 = Family(
    layer=(*GEMMA.layer, FEEDFORWARD_NORMS),
    defaults=GEMMA2_SIZES,
    types=alternating(2),
    attentions=(EAGER, FLASH),  # its class soft-caps the scores, which sdpa cannot
)
OLMO = Family(
    layer=(ATTENTION, gated_mlp()),
    defaults=sizes(50_304, 4096, 11_008, 32, 32),
    outside=(),  # its norms have no parameters
    ends_in_linear=True,
)
OLMO2 = Family(layer=(*OLMO.layer, NORMS_AFTER, wide_norms()), defaults=OLMO.defaults)
COHERE = Family(
    layer=(ATTENTION, gated_mlp(), norm("input_layernorm"), when(where("use_qk_norm"), square_norms)),
    defaults=sizes(256_000, 8192, 22_528, 40, 64, tie_word_embeddings=True),
)
GLM = Family(
    layer=(attention(bias="attention_bias"), fused_gated_mlp(), TWO_NORMS),
    defaults=sizes(151_552, 4096, 13_696, 40, 32, 2, head_dim=128, attention_bias=True),
)

DENSE: dict[str, Family] = {
    "llama": LLAMA,
    "granite": LLAMA,
    "mistral": MISTRAL,
    "ministral": MISTRAL,
    "ministral3": replace(MISTRAL, defaults=sizes(131_072, 4096, 14_336, 34, 32, 8, head_dim=128)),
    "qwen2": QWEN2,
    "qwen3": replace(
        QWEN2, layer=(ATTENTION, gated_mlp(), TWO_NORMS, HEAD_NORMS), defaults={**QWEN2.defaults, "head_dim": 128}
    ),
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "gemma3_text": Family(
        layer=(*GEMMA2.layer, HEAD_NORMS),
        defaults={**GEMMA2_SIZES, "vocab_size": 262_208},
        types=alternating(6, "sliding_window_pattern"),
    ),
    "olmo": OLMO,
    "olmo2": OLMO2,
    "olmo3": replace(OLMO2, defaults={**OLMO.defaults, "sliding_window": 4096}, types=alternating(4)),
    "cohere": COHERE,
    "cohere2": replace(
        COHERE,
        layer=COHERE.layer[:3],
        defaults={**COHERE.defaults, "sliding_window": 4096},
        types=alternating(4, "sliding_window_pattern"),
    ),
    "glm": GLM,
    "glm4": replace(GLM, layer=(*GLM.layer, norm("post_self_attn_layernorm", "post_mlp_layernorm"))),
    "phi3": Family(
        layer=(fused_attention("self_attn", "qkv_proj", "o_proj"), fused_gated_mlp(), TWO_NORMS),
        defaults=sizes(32_064, 3072, 8192, 32, 32),
        types=windowed,
    ),
    "smollm3": replace(
        LLAMA,
        defaults=sizes(128_256, 2048, 11_008, 36, 16, 4, tie_word_embeddings=True),
        types=_smollm3_window,
    ),
    "stablelm": Family(
        layer=(
            attention(bias="use_qkv_bias"),
            gated_mlp(),
            norm("input_layernorm", bias=True),
            unless(where("use_parallel_residual"), norm("post_attention_layernorm", bias=True)),
            when(where("qk_layernorm"), norms_of_each_head),
        ),
        defaults=sizes(50_304, 2560, 6912, 32, 32, 32),
        outside=(norm("norm", bias=True),),
    ),
    "starcoder2": Family(
        layer=(
            attention(bias="use_bias", out_bias="use_bias"),
            plain_mlp("mlp.c_fc", "mlp.c_proj", bias="use_bias"),
            BIASED_NORMS,
        ),
        defaults=sizes(49_152, 3072, 12_288, 30, 24, 2, use_bias=True, tie_word_embeddings=True),
        outside=(norm("norm", bias=True),),
        types=windowed,
    ),
    "arcee": replace(
        LLAMA,
        layer=(ATTENTION, plain_mlp("mlp.up_proj", "mlp.down_proj", bias="mlp_bias"), TWO_NORMS),
        defaults=sizes(32_000, 2560, 18_432, 32, 32),
    ),
    "seed_oss": replace(
        LLAMA,
        layer=(attention(bias="attention_bias", out_bias="attention_out_bias"), *LLAMA.layer[1:]),
        defaults=sizes(155_136, 4096, 27_648, 64, 80, 8, head_dim=128, attention_bias=True),
    ),
    "helium": replace(
        LLAMA,
        layer=(attention(bias="attention_bias"), *LLAMA.layer[1:]),
        defaults=sizes(48_000, 2560, 7040, 24, 20, 20, head_dim=128),
    ),
    "exaone4": replace(
        LLAMA,
        layer=(attention(), gated_mlp(), NORMS_AFTER, HEAD_NORMS),
        defaults=sizes(102_400, 4096, 16_384, 32, 32, 32, sliding_window=4096),
        types=alternating(4, "sliding_window_pattern"),
    ),
    "ernie4_5": replace(
        LLAMA,
        layer=(attention(bias="use_bias", out_bias="use_bias"), gated_mlp(bias="use_bias"), TWO_NORMS),
        defaults=sizes(103_424, 1024, 3072, 18, 16, 2, head_dim=128, tie_word_embeddings=True),
    ),
    "apertus": replace(
        LLAMA,
        layer=(
            ATTENTION,
            plain_mlp("mlp.up_proj", "mlp.down_proj"),
            vector("mlp.act_fn.alpha_p", lambda c: 1),
            vector("mlp.act_fn.alpha_n", lambda c: 1),
            norm("attention_layernorm", "feedforward_layernorm"),
            HEAD_NORMS,
        ),
        defaults=sizes(131_072, 4096, 14_336, 32, 32),
    ),
}
