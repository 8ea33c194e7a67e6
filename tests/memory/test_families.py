"""The described families have exactly the tensors that transformers' own classes have, beyond the 29 models too."""

from __future__ import annotations

from typing import Any

import pytest

from core.memory.families import FAMILIES
from core.memory.families.vision import SEEING
from core.memory.shapes import read_shapes
from tests.memory.support import class_config, meta_model, quantized_weights, shapes

# a few classes cannot be built from their own defaults, and say what they miss
NEEDED: dict[str, dict[str, Any]] = {"ministral": {"head_dim": 128}}

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
    assert len(FAMILIES) + len(SEEING) >= 58
