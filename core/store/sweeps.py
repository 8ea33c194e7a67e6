"""What keeps the queue whole without a broker's promises: lost jobs go back, lost messages are counted."""

from __future__ import annotations

from sqlalchemy import delete, func, select

from core.errors import WorkerLost
from core.models import AttemptRow, JobRow, WorkerRow, now
from core.states import State
from core.store.part import Part, leave
from core.store.waiting import claim_order, waiting
from core.values import Trouble


class Sweeps(Part):
    """Conditional updates that any number of workers may run at once."""

    def requeue_lost(self, max_attempts: int) -> list[str]:
        """Take every job whose lease ran out from its worker: back into the queue, or failed after `max_attempts`.

        Returns:
            The ids of the jobs that changed.
        """
        lost = select(JobRow.id, JobRow.attempt).where(JobRow.state == State.RUNNING, JobRow.lease_until < now())
        with self.database.read() as connection:
            candidates = connection.execute(lost).all()
        return [
            job_id for job_id, attempt in candidates if self._requeue(job_id, attempt, max_attempts, only_expired=True)
        ]

    def declare_lost(self, job_id: str, attempt: int, max_attempts: int) -> bool:
        """Take a job from its attempt, whose process is known to be dead; whether the attempt still held it."""
        return self._requeue(job_id, attempt, max_attempts, only_expired=False)

    def waiting_ids(self, queue: str, limit: int) -> list[str]:
        """The first `limit` jobs that wait in a queue: as many messages should lie in the broker.

        Of those that were told why they wait one is enough: who takes it sees whether the reason still holds, and wakes
        the others.
        """
        query = waiting(queue, JobRow.id).order_by(*claim_order())
        may_begin, must_wait = JobRow.waiting_reason == "", JobRow.waiting_reason != ""
        with self.database.read() as connection:
            found = list(connection.execute(query.where(may_begin).limit(limit)).scalars())
            return found + list(connection.execute(query.where(must_wait).limit(1)).scalars())

    def forget_dead_workers(self) -> None:
        """Drop the row of every worker whose lease ran out."""
        dead = WorkerRow.lease_until < now()
        with self.database.read() as connection:
            if not connection.execute(select(func.count()).where(dead)).scalar():
                return
        with self.database.write() as connection:
            connection.execute(delete(WorkerRow).where(dead))

    def expired(self, age_s: float, limit: int = 500) -> list[str]:
        """The ids of jobs that ended so many seconds ago or longer, the oldest first."""
        old = (JobRow.finished_at < now() - age_s, JobRow.state.in_([one for one in State if one.is_finished]))
        with self.database.read() as connection:
            return list(connection.execute(select(JobRow.id).where(*old).order_by(JobRow.id).limit(limit)).scalars())

    def _requeue(self, job_id: str, attempt: int, max_attempts: int, *, only_expired: bool) -> bool:
        held = [JobRow.id == job_id, JobRow.attempt == attempt, JobRow.state == State.RUNNING]
        if only_expired:
            held.append(JobRow.lease_until < now())
        with self.database.write() as connection:
            columns = select(JobRow.worker, JobRow.cancel_requested_at, JobRow.pause_requested_at).where(*held)
            row = connection.execute(columns.with_for_update(skip_locked=True)).first()
            if row is None:
                return False
            lost = select(func.count()).where(AttemptRow.job_id == job_id, AttemptRow.outcome == "lost")
            n_lost = connection.execute(lost).scalar_one() + 1  # a pause or a worker that stopped is no death
            new = State.CANCELLED if row.cancel_requested_at else _after_loss(n_lost, max_attempts)
            event = "lost" if new is State.QUEUED else new.value
            new = State.HELD if new is State.QUEUED and row.pause_requested_at else new
            values = {"error": _given_up(n_lost).model_dump(mode="json")} if new is State.FAILED else {}
            facts = {"worker": row.worker}
            leave(connection, job_id, attempt, new, event, values=values, outcome="lost", data=facts)
            return True


def _after_loss(n_lost: int, max_attempts: int) -> State:
    return State.QUEUED if n_lost < max_attempts else State.FAILED


def _given_up(attempts: int) -> Trouble:
    return Trouble(
        code=WorkerLost.code,
        message=f"The worker died {attempts} times while it ran this job.",
        hint="The worker's log says why; too little memory is the usual cause.",
    )
