"""Checkpoints as files: which is whole, and how many steps it has. Nothing of them is opened here."""

from __future__ import annotations

from pathlib import Path

PREFIX = "checkpoint-"
CLOCK = "clock.json"
STATE = "trainer_state.json"


def checkpoints_of(scratch: Path) -> Path:
    """Where a job's checkpoints lie below what it keeps for itself."""
    return scratch / "checkpoints"


def newest_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint with the most steps; None where there is none."""
    found = [path for path in folder.glob(f"{PREFIX}*") if (path / CLOCK).is_file()]
    return max(found, key=step_of) if found else None


def step_of(checkpoint: Path) -> int:
    """After how many steps it was written."""
    return int(checkpoint.name.removeprefix(PREFIX))
