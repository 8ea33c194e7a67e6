"""Memory that ran out is a sentence with what was asked for and what was free; a bug stays a bug."""

from __future__ import annotations

import pytest
import torch

from core.errors import OutOfMemory
from core.llm.memory_error import as_workbench_error

OF_A_CARD = (
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 14.56 GiB of which 13.06 MiB is "
    "free. Process 2207 has 14.54 GiB memory in use. Of the allocated memory 13.93 GiB is allocated by PyTorch"
)


def test_a_card_that_is_full_says_what_was_asked_and_what_was_free() -> None:
    known = as_workbench_error(torch.OutOfMemoryError(OF_A_CARD))
    assert str(known) == (
        "The card had too little memory: 20.97 MB more were asked for, and 13.69 MB of its 15.63 GB were free."
    )
    assert isinstance(known, OutOfMemory)
    assert "fewer bits" in known.hint


def test_a_host_that_refuses_says_it_too() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60, dtype=torch.uint8)
    known = as_workbench_error(refused.value)
    assert isinstance(known, OutOfMemory)
    assert ": 1152921.50 TB more were asked for; " in known.message
    assert known.message.endswith("are free.")
    assert known.__cause__ is refused.value


def test_what_says_no_figures_is_a_sentence_all_the_same() -> None:
    assert str(as_workbench_error(MemoryError())).startswith("This machine had too little memory; ")
    assert str(as_workbench_error(torch.OutOfMemoryError("CUDA error"))) == "The card had too little memory."


def test_a_bug_stays_what_it_is() -> None:
    bug = RuntimeError("shapes cannot be multiplied")
    assert as_workbench_error(bug) is bug
