"""The described families have exactly the tensors that transformers' own classes have, beyond the 29 models too."""

from __future__ import annotations

from typing import Any

import pytest

from core.memory.families import FAMILIES
from core.memory.families.vision import SEEING
from core.memory.shapes import read_shapes
from tests.memory.support import class_config, meta_model, quantized_weights, shapes

# a few classes cannot be built from their own defaults, and say what they miss
NEEDED: dict[str, dict[str, Any]] = {
    "ministral": {"head_dim": 128},
    "hunyuan_v1_dense": {"head_dim": 128},
    "nemotron": {"head_dim": 128, "num_key_value_heads": 8},
    "dots1": {"n_routed_experts": 64, "n_shared_experts": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 16},
}

LARGER: dict[str, dict[str, Any]] = {
    "llama 3.1 70B": {
        "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28_672, "num_hidden_layers": 80,
        "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128_256,
    },
    "qwen3 14B": {
        "model_type": "qwen3", "hidden_size": 5120, "intermediate_size": 17_408, "num_hidden_layers": 40,
        "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936,
    },
    "qwen2.5 32B": {
        "model_type": "qwen2", "hidden_size": 5120, "intermediate_size": 27_648, "num_hidden_layers": 64,
        "num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 152_064,
    },
    "gemma 2 27b": {
        "model_type": "gemma2", "hidden_size": 4608, "intermediate_size": 36_864, "num_hidden_layers": 46,
        "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128,
    },
    "mixtral 8x22B": {
        "model_type": "mixtral", "hidden_size": 6144, "intermediate_size": 16_384, "num_hidden_layers": 56,
        "num_attention_heads": 48, "num_key_value_heads": 8, "num_local_experts": 8, "vocab_size": 32_768,
    },
    "falcon 40b": {
        "model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128,
        "num_kv_heads": 8, "new_decoder_architecture": True, "bias": False, "vocab_size": 65_024,
    },
    "falcon rw 1b": {
        "model_type": "falcon", "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32,
        "multi_query": False, "parallel_attn": False, "bias": True, "alibi": True, "vocab_size": 50_304,
    },
    "bloom 7b": {"model_type": "bloom", "hidden_size": 4096, "n_layer": 30, "n_head": 32},
    "opt 6.7b": {
        "model_type": "opt", "hidden_size": 4096, "ffn_dim": 16_384, "num_hidden_layers": 32,
        "num_attention_heads": 32, "word_embed_proj_dim": 4096,
    },
    "mpt 30b": {"model_type": "mpt", "d_model": 7168, "n_heads": 64, "n_layers": 48, "max_seq_len": 8192},
    "gpt2 xl": {"model_type": "gpt2", "n_embd": 1600, "n_layer": 48, "n_head": 25},
    "starcoder 15b": {
        "model_type": "gpt_bigcode", "n_embd": 6144, "n_layer": 40, "n_head": 48, "n_inner": 24_576,
        "n_positions": 8192, "vocab_size": 49_152,
    },
    "deepseek v2 lite": {
        "model_type": "deepseek_v2", "hidden_size": 2048, "intermediate_size": 10_944, "moe_intermediate_size": 1408,
        "num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16, "q_lora_rank": None,
        "first_k_dense_replace": 1, "n_shared_experts": 2,
    },
    "qwen2 57B-A14B": {
        "model_type": "qwen2_moe", "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "num_experts": 64, "moe_intermediate_size": 2560,
        "shared_expert_intermediate_size": 20_480, "mlp_only_layers": [0, 3], "decoder_sparse_step": 2,
    },
    "qwen3 235B-A22B": {
        "model_type": "qwen3_moe", "hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 94,
        "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128,
        "moe_intermediate_size": 1536,
    },
    "stablelm 2 12b": {
        "model_type": "stablelm", "hidden_size": 5120, "intermediate_size": 13_824, "num_hidden_layers": 40,
        "num_attention_heads": 32, "num_key_value_heads": 8, "use_parallel_residual": True, "qk_layernorm": True,
    },
    "command r plus": {
        "model_type": "cohere", "hidden_size": 12_288, "intermediate_size": 33_792, "num_hidden_layers": 64,
        "num_attention_heads": 96, "num_key_value_heads": 8, "use_qk_norm": True,
    },
    "granite 34b with biases": {
        "model_type": "granite", "hidden_size": 6144, "intermediate_size": 24_576, "num_hidden_layers": 8,
        "num_attention_heads": 48, "num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True,
        "tie_word_embeddings": True,
    },
    "gemma 4 with experts": {
        "model_type": "gemma4_text", "hidden_size": 2816, "intermediate_size": 2112, "num_hidden_layers": 30,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256, "global_head_dim": 512,
        "num_global_key_value_heads": 2, "attention_k_eq_v": True, "enable_moe_block": True, "num_experts": 128,
        "top_k_experts": 8, "moe_intermediate_size": 704, "hidden_size_per_layer_input": 0, "sliding_window": 1024,
    },
    "gemma 4 with shared caches": {
        "model_type": "gemma4_text", "hidden_size": 1536, "intermediate_size": 6144, "num_hidden_layers": 35,
        "num_attention_heads": 8, "num_key_value_heads": 1, "num_kv_shared_layers": 20, "use_double_wide_mlp": True,
    },
    "llama 4 maverick": {
        "model_type": "llama4_text", "num_local_experts": 128, "interleave_moe_layer_step": 2, "num_hidden_layers": 12,
    },
    "nemotron 3 nano": {
        "model_type": "nemotron_h", "hybrid_override_pattern": "MEMEM*EMEM-E", "hidden_size": 2688,
        "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "mamba_num_heads": 64,
        "mamba_head_dim": 64, "n_routed_experts": 128, "moe_intermediate_size": 1856,
        "moe_shared_expert_intermediate_size": 3712, "moe_latent_size": 512,
    },
    "granite 4 tiny": {
        "model_type": "granitemoehybrid", "hidden_size": 1536, "num_hidden_layers": 4, "num_attention_heads": 12,
        "num_key_value_heads": 4, "layer_types": ["mamba", "mamba", "attention", "mamba"], "num_local_experts": 0,
        "mamba_n_heads": 48, "mamba_d_head": 64, "shared_intermediate_size": 4096, "mamba_d_state": 128,
    },
    "qwen3.5 27B": {
        "model_type": "qwen3_5_text", "hidden_size": 5120, "intermediate_size": 17_408, "num_hidden_layers": 64,
        "num_attention_heads": 24, "num_key_value_heads": 4, "linear_num_value_heads": 48,
    },
    "deepseek v3 cut short": {"model_type": "deepseek_v3", "num_hidden_layers": 8},
    "llama 65B": {
        "model_type": "llama", "hidden_size": 8192, "intermediate_size": 22_016, "num_hidden_layers": 80,
        "num_attention_heads": 64,
    },
    "pythia 160m": {
        "model_type": "gpt_neox", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 12, "vocab_size": 50_304,
    },
    "mamba 2.8b": {"model_type": "mamba", "hidden_size": 2560, "num_hidden_layers": 64, "time_step_rank": 160},
    "bamba with attention": {"model_type": "bamba", "num_hidden_layers": 8, "attn_layer_indices": [2, 5]},
    "lfm2 1.2B": {
        "model_type": "lfm2", "hidden_size": 2048, "intermediate_size": 12_288, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "full_attn_idxs": [2, 5, 8, 10, 12, 14],
    },
}  # fmt: skip


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_config_without_a_single_number_gives_what_the_class_builds_by_default(model_type: str) -> None:
    given = NEEDED.get(model_type, {})
    _is_what_transformers_builds({"model_type": model_type, **given}, model_type, given)


@pytest.mark.parametrize("name", LARGER)
def test_larger_and_odder_models_have_exactly_the_tensors_that_transformers_builds(name: str) -> None:
    raw = LARGER[name]
    given = {key: value for key, value in raw.items() if key != "model_type"}
    _is_what_transformers_builds(raw, raw["model_type"], given)


TEXT = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}
TEXT |= {"intermediate_size": 256, "vocab_size": 1000}
DEEP = {"depth": 2, "hidden_size": 64, "intermediate_size": 96, "num_heads": 4, "out_hidden_size": 128}
FLAT = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "patch_size": 14}
SEEN: dict[str, dict[str, Any]] = {
    "gemma3": {"text_config": TEXT, "vision_config": {**FLAT, "image_size": 56}},
    "gemma4": {"text_config": TEXT, "vision_config": {**FLAT, "num_key_value_heads": 4, "head_dim": 16}},
    "mistral3": {
        "text_config": {**TEXT, "model_type": "mistral"},
        "vision_config": {**FLAT, "model_type": "pixtral"},
        "tie_word_embeddings": False,
    },
    "qwen2_5_vl": {"text_config": TEXT, "vision_config": DEEP},
    "qwen3_vl": {"text_config": TEXT, "vision_config": DEEP | {"deepstack_visual_indexes": [0, 1]}},
    "qwen3_vl_moe": {
        "text_config": {**TEXT, "num_experts": 4, "moe_intermediate_size": 64, "decoder_sparse_step": 1},
        "vision_config": DEEP | {"deepstack_visual_indexes": [1]},
    },
    "qwen3_5": {"text_config": TEXT, "vision_config": DEEP, "tie_word_embeddings": True},
    "qwen3_5_moe": {"text_config": TEXT, "vision_config": DEEP},
}


@pytest.mark.parametrize("model_type", SEEING)
def test_models_that_see_have_their_encoder_beside_the_text_model(model_type: str) -> None:
    given = SEEN[model_type]
    _is_what_transformers_builds({"model_type": model_type, **given}, model_type, given)


def _is_what_transformers_builds(raw: dict[str, Any], model_type: str, given: dict[str, Any]) -> None:
    model = meta_model(class_config(model_type, **given))
    table = read_shapes(raw)
    assert {one.name: one.shape for one in table.tensors} == shapes(model)
    assert {one.name for one in table.linears} == quantized_weights(model)
    assert table.parameters == sum(one.numel() for one in model.parameters())


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_attention_implementations_are_those_of_the_class(model_type: str) -> None:
    model = meta_model(class_config(model_type, **NEEDED.get(model_type, {})))
    has = ["eager", *["sdpa"] * model._supports_sdpa, *["flash_attention_2"] * model._supports_flash_attn]
    assert list(FAMILIES[model_type].attentions) == has


def test_there_are_as_many_families_as_the_page_says() -> None:
    assert len(FAMILIES) + len(SEEING) >= 80
