"""What a job's checkpoints take of the disk, and how they go: renamed first, so that no kill leaves half of one.

Which of them may go is for others to say.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from core.training.checkpoints import PREFIX, checkpoints_of, newest_checkpoint, step_of

REMOVED = ".{}.removed"


def removable_bytes(scratch: Path, *, keeps_newest: bool) -> int:
    """What `remove_checkpoints` would free."""
    return sum(map(folder_bytes, _removable(checkpoints_of(scratch), keeps_newest)))


def remove_checkpoints(scratch: Path, *, keeps_newest: bool) -> int:
    """Delete the checkpoints that a job keeps for itself, or all before the newest whole one; the bytes that it freed.

    An attempt may begin meanwhile: it goes on from the newest and writes only newer ones.
    """
    return sum(map(remove_folder, list(_removable(checkpoints_of(scratch), keeps_newest))))


def remove_folder(folder: Path) -> int:
    """Delete a folder: at once for whoever looks for it, and then its files; the bytes that were freed."""
    if not folder.is_dir():
        return 0
    n_bytes, beside = folder_bytes(folder), folder
    if not folder.match(REMOVED.format("*")):
        beside = folder.with_name(REMOVED.format(folder.name))
        shutil.rmtree(beside, ignore_errors=True)
        folder.rename(beside)
    shutil.rmtree(beside, ignore_errors=True)
    return n_bytes


def folder_bytes(folder: Path) -> int:
    """Of all files below it."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _removable(folder: Path, keeps_newest: bool) -> Iterator[Path]:
    """Checkpoints, and what a killed removal has left of some."""
    yield from folder.glob(REMOVED.format(f"{PREFIX}*"))
    newest = newest_checkpoint(folder) if keeps_newest else None
    if newest or not keeps_newest:
        yield from (each for each in folder.glob(f"{PREFIX}*") if newest is None or step_of(each) < step_of(newest))
