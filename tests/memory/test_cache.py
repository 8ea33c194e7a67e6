"""What is kept of the tokens is what transformers' own cache holds, layer type by layer type."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, MistralForCausalLM

from core.memory import estimate, read_model
from core.memory.cache import kv_bytes, kv_part
from tests.memory.support import cached_bytes, class_config, meta_model

SMALL: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 6, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 128,
}  # fmt: skip
GPT: dict[str, Any] = {"n_embd": 64, "n_layer": 3, "n_head": 4, "vocab_size": 128}
STATE: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 3, "vocab_size": 128}

MODELS: dict[str, dict[str, Any]] = {
    "llama": SMALL,
    "mistral": {**SMALL, "sliding_window": 8},
    "qwen2": {**SMALL, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 4},
    "qwen3": {**SMALL, "head_dim": 32},
    "gemma": {**SMALL, "head_dim": 32},
    "gemma2": {**SMALL, "head_dim": 32, "sliding_window": 8},
    "gemma3_text": {**SMALL, "head_dim": 32, "sliding_window": 8},
    "olmo2": SMALL,
    "olmo3": {**SMALL, "sliding_window": 8},
    "cohere": SMALL,
    "cohere2": {**SMALL, "sliding_window": 8},
    "glm4": {**SMALL, "head_dim": 16},
    "granite": SMALL,
    "phi": SMALL,
    "phi3": {**SMALL, "sliding_window": 8},
    "smollm3": {**SMALL, "use_sliding_window": True, "sliding_window": 8},
    "stablelm": SMALL,
    "starcoder2": {**SMALL, "sliding_window": 8},
    "exaone4": {**SMALL, "sliding_window": 8},
    "gpt2": GPT,
    "gpt_bigcode": GPT,
    "gpt_neox": {**SMALL, "num_key_value_heads": None},
    "bloom": {"hidden_size": 64, "n_layer": 3, "n_head": 4, "vocab_size": 128},
    "mpt": {"d_model": 64, "n_layers": 3, "n_heads": 4, "vocab_size": 128},
    "opt": {
        "hidden_size": 64, "ffn_dim": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 128,
        "word_embed_proj_dim": 64,
    },
    "mamba": STATE,
    "mamba2": {**STATE, "num_heads": 8, "head_dim": 16, "n_groups": 1, "state_size": 16},
    "falcon_h1": {**SMALL, "mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 16},
    "bamba": {
        **SMALL, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16, "attn_layer_indices": [1], "head_dim": 16,
    },
    "qwen3_5_text": {
        **SMALL, "head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
    },
    "gemma4_text": {
        **SMALL, "head_dim": 16, "global_head_dim": 32, "sliding_window": 8, "attention_k_eq_v": True,
        "num_global_key_value_heads": 1, "hidden_size_per_layer_input": 0,
    },
    "llama4_text": {
        **SMALL, "head_dim": 16, "attention_chunk_size": 8, "intermediate_size_mlp": 96, "moe_layers": [],
    },
    "nemotron_h": {
        "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 128,
        "intermediate_size": 96, "mamba_num_heads": 8, "mamba_head_dim": 16, "n_groups": 1, "ssm_state_size": 16,
        "layers_block_type": ["linear_attention", "mlp", "full_attention"],
    },
    "granitemoehybrid": {
        **SMALL, "layer_types": ["linear_attention"] * 5 + ["full_attention"], "num_local_experts": 0,
        "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16, "mamba_n_groups": 1,
    },
    "youtu": {
        **SMALL, "num_key_value_heads": 4, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16,
        "v_head_dim": 16, "q_lora_rank": 24,
    },
    "lfm2": {**SMALL, "full_attn_idxs": [1, 4]},
}  # fmt: skip
FALCONS: dict[str, dict[str, Any]] = {
    "40b": {"new_decoder_architecture": True, "num_kv_heads": 2},
    "7b": {"multi_query": True},
    "rw": {"multi_query": False, "parallel_attn": False},
}


@pytest.mark.parametrize("model_type", MODELS)
@pytest.mark.parametrize("n_tokens", [5, 40])
def test_the_cache_holds_what_was_predicted(model_type: str, n_tokens: int) -> None:
    given = {key: value for key, value in MODELS[model_type].items() if value is not None}
    _holds_what_was_predicted(model_type, given, n_tokens)


@pytest.mark.parametrize("name", FALCONS)
def test_falcon_keeps_its_few_key_heads_repeated_for_all(name: str) -> None:
    given = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 128, **FALCONS[name]}
    _holds_what_was_predicted("falcon", given, 12)


def test_latent_attention_keeps_the_latent_alone() -> None:
    given = {**SMALL, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16}
    given |= {"q_lora_rank": 24, "first_k_dense_replace": 6, "num_key_value_heads": 4}
    _holds_what_was_predicted("deepseek_v2", given, 12)
    part = kv_part(read_model({"model_type": "deepseek_v2", **given}).table, 12, 1, 2)
    assert "6 layers (latent attention) × 24 numbers × 12 tokens × 2 bytes" in part.formula


def _holds_what_was_predicted(model_type: str, given: dict[str, Any], n_tokens: int) -> None:
    model = meta_model(class_config(model_type, **given))
    table = read_model({"model_type": model_type, **given}).table
    assert kv_bytes(table, n_tokens, 1, 2) == cached_bytes(model, n_tokens)


def test_the_cache_grows_with_rows_and_not_beyond_a_window() -> None:
    table = read_model({"model_type": "mistral"}).table
    one = kv_bytes(table, 100, 1, 2)
    assert kv_bytes(table, 100, 8, 2) == 8 * one
    assert kv_bytes(table, 4095, 1, 2) == kv_bytes(table, 1_000_000, 1, 2)


def test_a_window_holds_the_whole_prompt_until_the_next_token() -> None:
    given: dict[str, Any] = {**SMALL, "sliding_window": 8, "head_dim": 16}
    config: Any = class_config("mistral", **given)
    model: Any = MistralForCausalLM(config)
    cache: Any = DynamicCache(config=config)
    with torch.no_grad():
        model(torch.zeros((1, 40), dtype=torch.long), past_key_values=cache)
        gc.collect()
        held = sum(_storage(layer.keys) + _storage(layer.values) for layer in cache.layers)
        model(torch.zeros((1, 1), dtype=torch.long), past_key_values=cache)
    kept = sum(_storage(layer.keys) + _storage(layer.values) for layer in cache.layers)
    asked = estimate({"model_type": "mistral", **given}, context=40)
    parts = {one.name: one.n_bytes for one in asked.parts}
    assert held == 2 * (parts["KV cache"] + parts["prompt beyond the windows"])  # float32 here, 16 bit there
    assert kept == 2 * parts["KV cache"] * 8 // 7  # the new token's view still lies on one token more


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage().nbytes())


def test_the_parts_of_a_llama_model_are_said_in_words() -> None:
    part = kv_part(read_model(LlamaConfig().to_dict()).table, 4096, 2, 2)
    assert part.formula == "2 rows × (32 layers (full attention) × 8,192 numbers × 4,096 tokens × 2 bytes) = 4.29 GB"
