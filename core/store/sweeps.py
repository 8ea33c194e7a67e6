"""What keeps the queue whole without a broker's promises: lost jobs go back, lost messages are counted."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select, update

from core.errors import WorkerLost
from core.models import AttemptRow, JobRow, WorkerRow, now
from core.states import State, check_move
from core.store.part import Part, append_event
from core.values import Trouble


class Sweeps(Part):
    """Conditional updates that any number of workers may run at once."""

    def requeue_lost(self, max_attempts: int) -> list[str]:
        """Take every job whose lease ran out from its worker: back into the queue, or failed after `max_attempts`.

        Returns:
            The ids of the jobs that changed.
        """
        lost = select(JobRow.id).where(JobRow.state == State.RUNNING, JobRow.lease_until < now())
        with self.database.read() as connection:
            candidates = connection.execute(lost).scalars().all()
        return [job_id for job_id in candidates if self._requeue(job_id, max_attempts)]

    def count_queued(self) -> dict[str, int]:
        """How many jobs wait in each queue: as many messages should lie in the broker, or somebody must ring."""
        query = select(JobRow.queue, func.count()).where(JobRow.state == State.QUEUED).group_by(JobRow.queue)
        with self.database.read() as connection:
            return dict(connection.execute(query).tuples().all())

    def forget_dead_workers(self) -> None:
        """Drop the row of every worker whose lease ran out."""
        dead = WorkerRow.lease_until < now()
        with self.database.read() as connection:
            if not connection.execute(select(func.count()).where(dead)).scalar():
                return
        with self.database.write() as connection:
            connection.execute(delete(WorkerRow).where(dead))

    def _requeue(self, job_id: str, max_attempts: int) -> bool:
        still_lost = (JobRow.id == job_id, JobRow.state == State.RUNNING, JobRow.lease_until < now())
        with self.database.write() as connection:
            columns = select(JobRow.attempt, JobRow.worker, JobRow.cancel_requested_at)
            row = connection.execute(columns.where(*still_lost).with_for_update(skip_locked=True)).first()
            if row is None:
                return False
            attempt, worker, cancel_requested_at = row
            if cancel_requested_at is not None:
                _move(connection, job_id, attempt, State.CANCELLED, "cancelled", worker)
            elif attempt < max_attempts:
                _move(connection, job_id, attempt, State.QUEUED, "lost", worker)
            else:
                _move(connection, job_id, attempt, State.FAILED, "failed", worker)
            return True


def _move(connection: Connection, job_id: str, attempt: int, new: State, event: str, worker: str) -> None:
    check_move(State.RUNNING, new)
    values: dict[str, object] = {"state": new, "lease_until": None, "progress": None}
    if new.is_finished:
        values["finished_at"] = now()
    if new is State.FAILED:
        values["error"] = _given_up(attempt).model_dump(mode="json")
    connection.execute(update(JobRow).where(JobRow.id == job_id).values(values))
    closed = update(AttemptRow).where(AttemptRow.job_id == job_id, AttemptRow.attempt == attempt)
    connection.execute(closed.values(ended_at=now(), outcome="lost"))
    append_event(connection, job_id, event, attempt, {"worker": worker})


def _given_up(attempts: int) -> Trouble:
    return Trouble(
        code=WorkerLost.code,
        message=f"The worker died {attempts} times while it ran this job.",
        hint="The worker's log says why; too little memory is the usual cause.",
    )
