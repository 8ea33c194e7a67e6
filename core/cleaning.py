"""Deleting the checkpoints of a training on a person's wish: rows first, then the files that lie on this machine.

What lies where only another machine's worker sees it goes when that worker looks next: files without a row, and what
the job's history says is not wanted any more (`worker.leavings`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.errors import BadInput
from core.states import State
from core.store import Store
from core.training.cleaning import removable_bytes, remove_checkpoints, remove_folder
from core.values import Job


def deletable_bytes(store: Store, job: Job, scratch: Path) -> int:
    """What would be free afterwards; 0 while the job runs or waits."""
    if job.state in (State.RUNNING, State.QUEUED):
        return 0
    made = sum(one.n_bytes for one in store.deletable_checkpoints(job.id))
    return made + removable_bytes(scratch, keeps_newest=job.state is State.HELD)


def delete_checkpoints(store: Store, job: Job, who: str, scratch: Path, folder_of: Callable[[str], Path]) -> int:
    """Delete all checkpoints of a job that has ended, or all but the newest of one that is paused.

    Args:
        scratch: where the job keeps those that are no artifacts.
        folder_of: where an artifact's files lie.

    Returns:
        The bytes that are free now.

    Raises:
        IllegalMove: the job runs or waits, or another one goes on from them.
        BadInput: there are none.
    """
    keeps_newest, is_still = job.state is State.HELD, job.state not in (State.RUNNING, State.QUEUED)
    if is_still and not deletable_bytes(store, job, scratch) and not _is_held_elsewhere(job, scratch):
        raise BadInput(f"Job {job.id} has no checkpoints that could be deleted.")
    scratch_bytes = removable_bytes(scratch, keeps_newest=keeps_newest)
    made = store.delete_checkpoints(job.id, who, scratch_bytes)
    for artifact in made:
        remove_folder(folder_of(artifact.id))
    remove_checkpoints(scratch, keeps_newest=keeps_newest)
    return scratch_bytes + sum(one.n_bytes for one in made)


def _is_held_elsewhere(job: Job, scratch: Path) -> bool:
    """Whether a paused job's checkpoints lie on another machine."""
    return job.state is State.HELD and bool((job.result or {}).get("checkpoint_bytes")) and not scratch.is_dir()
