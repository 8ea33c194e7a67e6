"""The bytes of real tensors that bitsandbytes packs on this CPU are those of the formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from core.memory import Precision, read_model
from core.memory.weights import weights_bytes
from tests.memory.support import class_config

MODELS: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": 192, "intermediate_size": 520, "num_hidden_layers": 2, "num_attention_heads": 6,
        "num_key_value_heads": 2, "vocab_size": 1003, "tie_word_embeddings": True,
    },
    "gpt2": {"n_embd": 96, "n_head": 4, "n_layer": 2, "vocab_size": 500},
    "falcon": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 300},
    "mixtral": {
        "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 300, "num_local_experts": 4,
    },
}  # fmt: skip
MODES = {
    Precision.INT8: {"load_in_8bit": True},
    Precision.NF4: {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    Precision.FP4_DQ: {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": True},
}


@pytest.mark.parametrize("model_type", MODELS)
def test_packed_weights_and_their_state_take_what_was_predicted(model_type: str, tmp_path: Path) -> None:
    loader: Any = AutoModelForCausalLM
    loader.from_config(class_config(model_type, **MODELS[model_type])).to(torch.bfloat16).save_pretrained(tmp_path)
    table = read_model({"model_type": model_type, **MODELS[model_type]}).table
    for precision, mode in MODES.items():
        packing: Any = BitsAndBytesConfig(**mode)  # type: ignore[arg-type,no-untyped-call]
        model = loader.from_pretrained(
            tmp_path, quantization_config=packing, dtype=torch.bfloat16, device_map={"": "cpu"}
        )
        assert _real_bytes(model) == weights_bytes(table, precision), precision


def _real_bytes(model: Any) -> int:
    """Every parameter with the state that hangs on it; `get_memory_footprint()` forgets the latter."""
    tensors: list[torch.Tensor] = []
    for one in model.parameters():
        tensors.append(one)
        if getattr(one, "SCB", None) is not None:
            tensors.append(one.SCB)
        if state := getattr(one, "quant_state", None):
            tensors += [state.absmax, state.code]
            tensors += [state.offset, state.state2.absmax, state.state2.code] if state.nested else []
    return sum(one.numel() * one.element_size() for one in tensors)
