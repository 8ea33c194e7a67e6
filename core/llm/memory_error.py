"""Tells a device that is too small from a bug: torch raises both as RuntimeError."""

from __future__ import annotations

import torch

from core.errors import OutOfMemory

# what torch says when the host's allocator is refused, on Linux and elsewhere
HOST_WORDS = ("can't allocate memory", "not enough memory", "cannot allocate memory")


def as_workbench_error(error: Exception) -> Exception:
    """`OutOfMemory` where memory ran out, else the error itself."""
    if isinstance(error, OutOfMemory) or not _ran_out(error):
        return error
    known = OutOfMemory(
        "The device had too little memory for this request.",
        "Shorten the prompt or the answer, wait until other jobs have ended, or use a smaller model.",
    )
    known.__cause__ = error
    return known


def _ran_out(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in HOST_WORDS)
