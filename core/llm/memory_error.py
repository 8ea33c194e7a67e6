"""Tells a device that is too small from a bug, and says what was asked for, what was free and what to change.

torch raises both as RuntimeError; the figures stand in its own messages, those of free host memory are asked here.
"""

from __future__ import annotations

import re

import torch

from core.cards import host
from core.errors import OutOfMemory
from core.memory.formula import size

# what torch says when the host's allocator is refused, on Linux and elsewhere
HOST_WORDS = ("can't allocate memory", "not enough memory", "cannot allocate memory")
UNITS = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
AMOUNT = r"([\d.]+) (bytes|KiB|MiB|GiB|TiB)"
ASKED = re.compile(rf"tried to allocate {AMOUNT}", re.IGNORECASE)
ON_CARD = re.compile(rf"GPU (\d+) has a total capacity of {AMOUNT} of which {AMOUNT} is free", re.IGNORECASE)
CHANGE = "Shorten the prompt or the answer, take a precision of fewer bits, or let other models go."


def as_workbench_error(error: Exception) -> Exception:
    """`OutOfMemory` where memory ran out, else the error itself."""
    if isinstance(error, OutOfMemory) or not _ran_out(error):
        return error
    known = OutOfMemory(_sentence(error), CHANGE)
    known.__cause__ = error
    return known


def _ran_out(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in HOST_WORDS)


def _sentence(error: Exception) -> str:
    said = str(error)
    asked, card = ASKED.search(said), ON_CARD.search(said)
    wanted = f": {size(_bytes(*asked.groups()))} more were asked for" if asked else ""
    if card:
        free, total = size(_bytes(*card.groups()[3:5])), size(_bytes(*card.groups()[1:3]))
        return f"The card had too little memory{wanted}, and {free} of its {total} were free."
    if isinstance(error, torch.OutOfMemoryError):
        return f"The card had too little memory{wanted}."
    own = host()
    free, total = size(own.free_bytes), size(own.total_bytes)
    return f"This machine had too little memory{wanted}; {free} of its {total} are free."


def _bytes(number: str, unit: str) -> float:
    return float(number) * UNITS[unit.lower()]
