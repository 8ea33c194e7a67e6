"""Checkpoints that a person has deleted: their artifacts go here, their files where they lie."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from core.errors import IllegalMove, NotFound
from core.models import ArtifactRow, JobRow
from core.states import State
from core.store.part import Part, append_event
from core.values import ArtifactKind, ArtifactRef

DELETED = "checkpoints_deleted"
OF_CHECKPOINTS = (ArtifactRow.id, ArtifactRow.kind, ArtifactRow.name, ArtifactRow.n_bytes)
ENDED = [state for state in State if state.is_finished]


class Cleaning(Part):
    """What may go of a training that does not run: all where it has ended, all but the newest where it is held."""

    def deletable_checkpoints(self, job_id: str) -> list[ArtifactRef]:
        """The artifacts that would go; none while the job runs or waits."""
        with self.database.read() as connection:
            state = connection.execute(select(JobRow.state).where(JobRow.id == job_id)).scalar()
            return _going(connection, job_id, State(state)) if state else []

    def delete_checkpoints(self, job_id: str, who: str, scratch_bytes: int) -> list[ArtifactRef]:
        """Forget the checkpoints of a job, and write that this was done.

        Args:
            scratch_bytes: what goes beside them, of those that are no artifacts.

        Returns:
            The artifacts whose files are now nobody's.

        Raises:
            NotFound: there is no such job.
            IllegalMove: it runs or waits, or another job goes on from one of them.
        """
        with self.database.write() as connection:
            row = connection.execute(
                select(JobRow.state, JobRow.result).where(JobRow.id == job_id).with_for_update()
            ).first()
            if row is None:
                raise NotFound(f"There is no job {job_id}.")
            state = State(row.state)
            _check_is_still(job_id, state)
            going = _going(connection, job_id, state)
            _check_unused(connection, [one.id for one in going])
            connection.execute(delete(ArtifactRow).where(ArtifactRow.id.in_([one.id for one in going])))
            connection.execute(
                update(JobRow).where(JobRow.id == job_id).values(result=_less(row.result, state, scratch_bytes))
            )
            n_bytes = scratch_bytes + sum(one.n_bytes for one in going)
            facts = {"by": who, "n_bytes": n_bytes, "keeps_newest": state is State.HELD}
            append_event(connection, job_id, DELETED, data=facts)
            return going


def _check_is_still(job_id: str, state: State) -> None:
    if state in (State.RUNNING, State.QUEUED):
        doing = "is running" if state is State.RUNNING else "waits to go on"
        raise IllegalMove(
            f"Job {job_id} {doing}: its checkpoints can be deleted once it has ended or is paused.",
            "Pause or cancel it first.",
        )


def _going(connection: Connection, job_id: str, state: State) -> list[ArtifactRef]:
    if state in (State.RUNNING, State.QUEUED):
        return []
    mine = ArtifactRow.job_id == job_id, ArtifactRow.kind == ArtifactKind.CHECKPOINT
    rows = connection.execute(select(*OF_CHECKPOINTS).where(*mine).order_by(ArtifactRow.id)).all()
    found = [ArtifactRef.model_validate(dict(row._mapping)) for row in rows]
    return found[:-1] if state is State.HELD else found


def _check_unused(connection: Connection, ids: Sequence[str]) -> None:
    """Nobody who has still to begin, or may have to begin again, reads one of them."""
    named = JobRow.spec["resume_from"].as_string()
    user = connection.execute(
        select(JobRow.id, named).where(named.in_(ids), JobRow.state.not_in(ENDED)).limit(1)
    ).first()
    if user is not None:
        raise IllegalMove(
            f"Job {user[0]} goes on from checkpoint {user[1]}: it cannot be deleted before that job has ended.",
            "Wait for it, or cancel it.",
        )


def _less(result: dict[str, object] | None, state: State, scratch_bytes: int) -> dict[str, object] | None:
    """The result with what is left on the disk by now."""
    before = (result or {}).get("checkpoint_bytes")
    if result is None or not isinstance(before, int):
        return result
    return result | {"checkpoint_bytes": max(before - scratch_bytes, 0) if state is State.HELD else 0}
