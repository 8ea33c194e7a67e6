"""The call that is shown for a model is the call that loads it: run as it is printed, it gives the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from core.abilities import choose
from core.catalog import resolve
from core.errors import BadInput
from core.llm.abilities import abilities
from core.llm.loading import LoadedModel, load
from core.precision import Precision
from core.recipe import as_code
from core.variant import Variant
from tests.llm.tiny import tiny_model, word_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough for blocks of 64 weights."""
    made = tmp_path_factory.mktemp("model")
    tiny_model("llama", hidden_size=64, intermediate_size=128, head_dim=16).save_pretrained(made)
    word_tokenizer().save_pretrained(made)
    return made


def loaded(folder: Path, **fields: Any) -> tuple[LoadedModel, str]:
    variant = Variant(str(folder), **fields)
    source, choice = resolve(variant.model, folder), choose(variant, abilities("cpu"))
    return load(source, choice, device="cpu"), as_code(choice, source, "cpu")


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor([[5, 7, 9]])).logits.float()
    return found


@pytest.mark.parametrize("precision", list(Precision))
def test_the_printed_call_loads_the_same_model(folder: Path, precision: Precision) -> None:
    ours, code = loaded(folder, dtype=str(precision), attn_implementation="eager")
    names: dict[str, Any] = {}
    exec(code, names)
    assert torch.equal(logits(ours.model), logits(names["model"]))
    assert names["tokenizer"]("w5 w7")["input_ids"] == [5, 7]
    assert names["model"].config._attn_implementation == ours.attention == "eager"


@pytest.mark.parametrize("precision", list(Precision))
def test_each_precision_keeps_what_it_says(folder: Path, precision: Precision) -> None:
    ours, _ = loaded(folder, dtype=str(precision))
    plain, _ = loaded(folder, dtype="float32")
    assert ours.precision is precision
    assert ours.weight.parameters == plain.weight.parameters
    assert (ours.weight.state_bytes > 0) is precision.is_quantized
    assert ours.weights_bytes < plain.weights_bytes or precision is Precision.FLOAT32


def test_the_threshold_of_int8_arrives(folder: Path) -> None:
    ours, code = loaded(folder, dtype="int8", llm_int8_threshold=3.5)
    layer: Any = ours.model.get_submodule("model.layers.0.self_attn.q_proj")
    assert layer.state.threshold == 3.5
    assert "llm_int8_threshold=3.5" in code


def test_an_attention_that_needs_a_card_is_refused_with_the_reason(folder: Path) -> None:
    with pytest.raises(BadInput, match="flash_attention_2 cannot run here: it needs an NVIDIA card"):
        loaded(folder, attn_implementation="flash_attention_2")


def test_auto_says_which_attention_it_took(folder: Path) -> None:
    ours, _ = loaded(folder)
    assert ours.attention == "sdpa"
