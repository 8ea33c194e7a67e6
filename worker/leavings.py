"""What a job that has ended leaves on this machine: its last checkpoint becomes an artifact, the rest goes."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from core.client import artifact_folder, scratch_folder
from core.errors import NotFound, Unavailable
from core.ids import new_id
from core.states import State
from core.store import Store
from core.store.cleaning import DELETED
from core.training.checkpoints import checkpoints_of, newest_checkpoint, step_of
from core.training.cleaning import remove_checkpoints
from core.training.lineage import write_lineage
from core.values import ArtifactKind, ArtifactRef, Job

LOG = logging.getLogger(__name__)


def clear_up(home: Path, store: Store, job_id: str) -> None:
    """Remove what a job kept for itself, where it has ended or is not there any more.

    A training that did not succeed leaves its newest checkpoint as an artifact, however it ended: cancelled while it
    was held, killed at the end of its grace, or failed after its last attempt.
    """
    folder = scratch_folder(home, job_id)
    if not folder.is_dir():
        return
    try:
        job = store.job(job_id)
    except NotFound:
        job = None
    except Unavailable:  # the next sweep looks again
        return
    is_over = job is None or job.state.is_finished
    try:
        if job is not None and not is_over:
            _thin_out(store, job, folder)
        elif job is not None and job.state is not State.SUCCEEDED and not _is_wish(store, job_id, keeps_newest=False):
            _keep_checkpoint(home, store, job, checkpoints_of(folder))
    except (OSError, Unavailable) as error:
        LOG.warning("the checkpoint of job %s stays in %s for now: %s", job_id, folder, error)
        return
    if is_over:
        shutil.rmtree(folder, ignore_errors=True)


def _thin_out(store: Store, job: Job, folder: Path) -> None:
    """Remove what its owner has deleted of a paused job's checkpoints."""
    if job.state is State.HELD and _is_wish(store, job.id, keeps_newest=True):
        remove_checkpoints(folder, keeps_newest=True)


def _is_wish(store: Store, job_id: str, *, keeps_newest: bool) -> bool:
    """Whether somebody has deleted checkpoints since an attempt last began: here they may lie on, or half removed."""
    events = store.events(job_id)
    since = next((n for n, event in enumerate(reversed(events)) if event.kind == "claimed"), len(events))
    wishes = [event for event in events[len(events) - since :] if event.kind == DELETED]
    return any(event.data.get("keeps_newest") == keeps_newest for event in wishes)


def _keep_checkpoint(home: Path, store: Store, job: Job, checkpoints: Path) -> None:
    newest = newest_checkpoint(checkpoints)
    if newest is None:
        return
    data = (job.result or {}).get("data")
    write_lineage(newest, job.id, job.kind, job.spec, base=job.model, step=step_of(newest), data=data)
    artifact_id = new_id()
    target = artifact_folder(home, artifact_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    n_bytes = sum(file.stat().st_size for file in newest.rglob("*") if file.is_file())
    newest.rename(target)
    kept = ArtifactRef(id=artifact_id, kind=ArtifactKind.CHECKPOINT, name=newest.name, n_bytes=n_bytes)
    try:
        store.leave_artifact(job.id, job.attempt, kept)
    except BaseException:
        target.rename(newest)
        raise
