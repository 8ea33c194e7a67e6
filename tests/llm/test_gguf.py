"""A GGUF file is loaded by its path, and is the model that it was packed from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.abilities import choose
from core.catalog import resolve
from core.catalog.builtin import installed_gguf
from core.errors import BadInput
from core.llm.abilities import abilities
from core.llm.encode import encode_question, encode_text
from core.llm.loading import LoadedModel, load
from core.variant import Variant


@pytest.fixture(scope="module")
def path() -> Path:
    found = installed_gguf()
    if found is None:
        pytest.skip("the wheel with the built-in model is not installed")
    return found


def last_logits(loaded: LoadedModel) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = loaded.model(torch.tensor([encode_text(loaded, "The capital of France is")])).logits[
            0, -1
        ]
    return found


@pytest.mark.nightly
def test_it_says_what_the_unpacked_model_says(path: Path, builtin: LoadedModel, tmp_path: Path) -> None:
    variant = Variant(str(path))
    loaded = load(resolve(variant.model, tmp_path), choose(variant, abilities("cpu")), device="cpu")
    assert loaded.weight.parameters == builtin.weight.parameters
    assert encode_question(loaded, "Hello") == encode_question(builtin, "Hello")
    assert last_logits(loaded).argmax() == last_logits(builtin).argmax()


def test_it_is_not_packed_a_second_time(path: Path, tmp_path: Path) -> None:
    variant = Variant(str(path), dtype="nf4")
    with pytest.raises(BadInput, match=r"is a GGUF file: it is unpacked as it is loaded, and nf4 is not made of it"):
        load(resolve(variant.model, tmp_path), choose(variant, abilities("cpu")), device="cpu")
