"""Whether the disk has room for what is to be fetched: asked before, with a margin for the database beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.errors import DiskFull

MARGIN_BYTES = 64 << 20
WAY_OUT = "Remove models that are not needed (`workbench models` lists them), or set HF_HUB_CACHE to a larger disk."


def check_room(folder: Path, needed_bytes: int, name: str) -> None:
    """Refuse to begin what cannot end.

    Raises:
        DiskFull: with what is needed and what is free.
    """
    free_bytes = shutil.disk_usage(_existing(folder)).free
    if needed_bytes and needed_bytes + MARGIN_BYTES > free_bytes:
        raise DiskFull(
            f"{name} needs {_mb(needed_bytes)} MB more, and the disk of {folder} has {_mb(free_bytes)} MB free.",
            WAY_OUT,
        )


def full(name: str) -> DiskFull:
    """The disk filled up in the middle."""
    return DiskFull(f"The disk filled up while {name} came: the file that was being written is removed.", WAY_OUT)


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f}" if n_bytes >= 1e6 else f"{n_bytes / 1e6:.1f}"
