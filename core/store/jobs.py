"""What a person does to a job: submit, cancel, name, delete."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import IllegalMove, NotFound
from core.ids import new_id
from core.limits import Limits
from core.models import ArtifactRow, JobRow, now
from core.states import State, check_move
from core.store.crowding import check_not_too_many, lock_for
from core.store.part import JOBS, Part, append_event
from core.store.rows import job_of
from core.values import Job, Visibility


@dataclass(frozen=True)
class NewJob:
    """A job as it is submitted; what is not here the store fills in. What has no queue runs from the first moment on.

    `source` is the address that it came from, where that is counted. `round` counts how often the `step` of a pipeline
    was begun; `fingerprint` finds it again when it is asked for anew.
    """

    kind: str
    queue: str
    owner: str
    spec: dict[str, Any]
    name: str = ""
    words: str = ""
    model: str = ""
    load_key: str = ""
    work_tokens: int = 0
    notes: tuple[str, ...] = ()
    visibility: Visibility = Visibility.TEAM
    priority: int = 0
    key: str | None = None
    parent: str | None = None
    retry_of: str | None = None
    pipeline_id: str | None = None
    step: str | None = None
    round: int | None = None
    fingerprint: str | None = None
    source: str | None = None


NO_LIMITS = Limits()


class Jobs(Part):
    """Writes that a person asks for."""

    def submit(self, new: NewJob, limits: Limits = NO_LIMITS) -> tuple[Job, bool]:
        """Write a queued job and its first event; a key that its owner has used before gives that job again.

        Returns:
            The job as its row stands, and whether it is new.

        Raises:
            TooMany: as many jobs as the limits allow are unfinished.
        """
        with self.database.write() as connection:
            lock_for(connection, limits, new.owner, new.source)
            row = self._add(connection, new)
            if row is None:
                same = select(JOBS).where(JOBS.c.owner == new.owner, JOBS.c.key == new.key)
                return job_of(connection.execute(same).one()), False
            check_not_too_many(connection, limits, new.owner, new.source)
            return job_of(row), True

    def _add(self, connection: Connection, new: NewJob) -> Row[Any] | None:
        """The row of a job with its first event; None where its key, or its round of its step, is there already."""
        columns = vars(new) | {}
        facts = {"owner": new.owner} | ({"notes": list(notes)} if (notes := columns.pop("notes")) else {})
        row = connection.execute(self._insert if new.queue else self._begin, {"id": new_id(), **columns}).first()
        if row is not None:
            append_event(connection, row.id, "queued" if new.queue else "began", data=facts)
        return row

    @cached_property
    def _insert(self) -> Any:
        return self._insertion(state=State.QUEUED)

    @cached_property
    def _begin(self) -> Any:
        return self._insertion(state=State.RUNNING, started_at=now())

    def _insertion(self, **values: Any) -> Any:
        dialect = sqlite if self.database.is_sqlite else postgresql
        row = dialect.insert(JOBS).values(created_at=now(), attempt=0, note="", **values)
        return row.on_conflict_do_nothing().returning(*JOBS.c)

    def cancel(self, job_id: str, who: str) -> State:
        """Cancel a queued job at once; ask a running one to stop.

        Returns:
            The state that the job is in now.

        Raises:
            NotFound: there is no such job.
            IllegalMove: the job has ended already.
        """
        with self.database.write() as connection:
            return cancel_job(connection, job_id, who)

    def pause(self, job_id: str, who: str) -> State:
        """Hold a queued job; ask a running one to save what it has and let its place go.

        Returns:
            The state that the job is in now.

        Raises:
            NotFound: there is no such job.
            IllegalMove: the job has ended, or is held already.
        """
        with self.database.write() as connection:
            return pause_job(connection, job_id, who)

    def resume(self, job_id: str, who: str) -> tuple[State, bool]:
        """Put a held job back into its queue; take the wish to pause from a running one.

        Returns:
            The state that the job is in now, and whether it has just come into its queue.

        Raises:
            NotFound: there is no such job.
            IllegalMove: nobody has paused it.
        """
        with self.database.write() as connection:
            return resume_job(connection, job_id, who)

    def describe(
        self,
        job_id: str,
        *,
        name: str | None = None,
        note: str | None = None,
        visibility: Visibility | None = None,
    ) -> None:
        """Give a job another name (at most 200 characters) or note, or let others see it; its steps go with it.

        Raises:
            NotFound: there is no such job.
        """
        values = {key: value for key, value in (("name", name), ("note", note)) if value is not None}
        with self.database.write() as connection:
            locked_state(connection, job_id)
            if values:
                set_values(connection, job_id, **values)
            if visibility is not None:
                mine = or_(JobRow.id == job_id, JobRow.pipeline_id == job_id)
                connection.execute(update(JobRow).where(mine).values(visibility=visibility))

    def delete(self, job_id: str) -> list[str]:
        """Forget a job and all that hangs on it; what was a step of it stays.

        Returns:
            The ids of its artifacts, whose files are now nobody's.

        Raises:
            NotFound: there is no such job.
            IllegalMove: it is running.
        """
        with self.database.write() as connection:
            if locked_state(connection, job_id) is State.RUNNING:
                raise IllegalMove(f"Job {job_id} is running.", "Cancel it first.")
            artifacts = connection.execute(select(ArtifactRow.id).where(ArtifactRow.job_id == job_id)).scalars().all()
            connection.execute(update(JobRow).where(JobRow.pipeline_id == job_id).values(pipeline_id=None))
            connection.execute(delete(JobRow).where(JobRow.id == job_id))
            return list(artifacts)


def cancel_job(connection: Connection, job_id: str, who: str) -> State:
    """See `Jobs.cancel`."""
    state = locked_state(connection, job_id)
    if state in (State.QUEUED, State.HELD):
        check_move(state, State.CANCELLED)
        set_values(connection, job_id, state=State.CANCELLED, finished_at=now(), cancel_requested_at=now())
        append_event(connection, job_id, "cancelled", data={"by": who})
        return State.CANCELLED
    if state.is_finished:
        raise IllegalMove(f"Job {job_id} has already {_ended(state)}: there is nothing to cancel.")
    set_values(connection, job_id, cancel_requested_at=now())
    append_event(connection, job_id, "cancel_requested", data={"by": who})
    return state


def pause_job(connection: Connection, job_id: str, who: str) -> State:
    """See `Jobs.pause`."""
    state = locked_state(connection, job_id)
    if state is State.RUNNING:
        set_values(connection, job_id, pause_requested_at=now())
        append_event(connection, job_id, "pause_requested", data={"by": who})
        return state
    if state.is_finished:
        raise IllegalMove(f"Job {job_id} has already {_ended(state)}: there is nothing to pause.")
    if state is State.HELD:
        raise IllegalMove(f"Job {job_id} is paused already.")
    check_move(state, State.HELD)
    set_values(connection, job_id, state=State.HELD, waiting_reason="")
    append_event(connection, job_id, "held", data={"by": who})
    return State.HELD


def resume_job(connection: Connection, job_id: str, who: str) -> tuple[State, bool]:
    """See `Jobs.resume`."""
    state = locked_state(connection, job_id)
    if state is State.HELD:
        check_move(state, State.QUEUED)
        set_values(connection, job_id, state=State.QUEUED, pause_requested_at=None)
        append_event(connection, job_id, "resumed", data={"by": who})
        return State.QUEUED, True
    pausing = select(JobRow.pause_requested_at).where(JobRow.id == job_id)
    if state is not State.RUNNING or connection.execute(pausing).scalar() is None:
        raise IllegalMove(f"Job {job_id} is {state}: only a paused job can be resumed.")
    set_values(connection, job_id, pause_requested_at=None)
    append_event(connection, job_id, "resumed", data={"by": who})
    return state, False


def locked_state(connection: Connection, job_id: str) -> State:
    """The state of a job, which stands until the transaction ends."""
    state = connection.execute(select(JobRow.state).where(JobRow.id == job_id).with_for_update()).scalar()
    if state is None:
        raise NotFound(f"There is no job {job_id}.")
    return State(state)


def set_values(connection: Connection, job_id: str, **values: Any) -> None:
    """Write columns of a job, in a transaction that has locked it."""
    connection.execute(update(JobRow).where(JobRow.id == job_id).values(values))


def _ended(state: State) -> str:
    return "been cancelled" if state is State.CANCELLED else str(state)
