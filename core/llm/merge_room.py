"""What a merge and its check take of memory and disk, said before anything is begun."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from core.cards import host
from core.comparison.prospects import SCORING_BYTES
from core.errors import BadConfig, DiskFull, OutOfMemory
from core.llm.merge_check import NOISE_BATCH
from core.llm.merging_base import Base
from core.llm.merging_plan import Plan
from core.memory.files import try_open_model
from core.memory.formula import size
from core.memory.needs import needs_of
from core.precision import Precision
from core.variant import Attention

MARGIN_BYTES = 64 << 20  # for the database beside it


@dataclass(frozen=True, slots=True)
class Place:
    """Where the check computes, and at which precision."""

    device: str
    precision: Precision


def place_of_check(base: Base, plan: Plan, device: str, usable_bytes: int, window: int) -> Place:
    """The first that fits: float32 on the device, else 16 bit there, else either in the host's memory.

    Raises:
        OutOfMemory: none does.
    """
    narrow = Precision.FLOAT16 if plan.dtype == "float16" else Precision.BFLOAT16
    rooms = [(device, usable_bytes)]
    if device != "cpu":
        rooms.append(("cpu", host().free_bytes))
    least = 0
    for where, room_bytes in rooms:
        for precision in (Precision.FLOAT32, narrow):
            least = check_bytes(base, precision, window, on_host=where == "cpu")
            if least <= room_bytes:
                return Place(where, precision)
    raise OutOfMemory(
        f"Whether the merged model is what base + adapter are cannot be checked here: in {narrow} either needs "
        f"{size(least)}, and {size(rooms[-1][1])} can be used.",
        "Merge on a machine with more memory, or let other models go.",
    )


def check_bytes(base: Base, precision: Precision, window: int, *, on_host: bool) -> int:
    """What scoring one window takes at most, the model included."""
    table = base.parameters[f"{base.embedding}.weight"]
    logits = NOISE_BATCH * window * int(table.shape[0]) * (precision.element_bytes + 4)  # as computed, as kept
    try:
        model = try_open_model(base.source.path)
    except BadConfig:
        model = None
    if model is None:
        n_weights: int = sum(one.numel() for one in base.parameters.values())
        return n_weights * precision.element_bytes * 5 // 4 + logits + SCORING_BYTES
    needs = needs_of(model, precision, Attention.SDPA, on_host=on_host)
    return needs.whole_bytes(window) + logits + SCORING_BYTES


def check_disk(folder: Path, model_bytes: int, kept_bytes: int) -> None:
    """Refuse to begin where the disk has no room for the merged model and what its check keeps meanwhile.

    Raises:
        DiskFull: with what is needed and what is free.
    """
    needed, free = model_bytes + kept_bytes, shutil.disk_usage(folder).free
    if needed + MARGIN_BYTES > free:
        raise DiskFull(
            f"The merged model takes {model_bytes / 1e6:,.0f} MB and its check {kept_bytes / 1e6:,.0f} MB meanwhile; "
            f"the disk of {folder} has {free / 1e6:,.0f} MB free.",
            "Remove models that are not needed, or merge in 16 bit.",
        )
