"""What a worker does to a job: claim it, hold it, write under its attempt, leave it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Float, Select, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.ids import new_id
from core.models import ArtifactRow, JobRow, MeasurementRow, SampleRow, TurnRow, now
from core.states import State
from core.store.part import ATTEMPTS, JOBS, Part, append_event, fenced_write, leave
from core.values import ArtifactRef, Measurement, Progress, Sample, Trouble

TURNS = TurnRow.__table__


@dataclass(frozen=True)
class Claim:
    """A job that one worker now owns, by its attempt number."""

    job_id: str
    attempt: int
    kind: str
    owner: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Pulse:
    """What a worker hears about a job that it holds."""

    is_mine: bool
    is_cancel_requested: bool


@dataclass(frozen=True)
class Kept:
    """What a run has made since it last wrote."""

    measurements: Sequence[Measurement] = ()
    samples: Sequence[Sample] = ()


class Claims(Part):
    """Writes that a worker makes, each fenced by the attempt number."""

    def claim(self, queue: str, worker: str, lease_s: float, device: str = "") -> Claim | None:
        """Take the best queued job: highest priority, then the owner whose turn it is, then the oldest.

        One conditional UPDATE decides, so that no two workers ever hold one job.
        """
        with self.database.write() as connection:
            row = connection.execute(_TAKE, {"from_queue": queue, "by": worker, "lease_s": lease_s}).first()
            if row is None:
                return None
            job_id, attempt, kind, owner, spec = row
            connection.execute(_ATTEMPT, {"job_id": job_id, "attempt": attempt, "worker": worker, "device": device})
            connection.execute(self._pass_turn, {"of": queue, "queue": queue, "owner": owner})
            append_event(connection, job_id, "claimed", attempt, {"worker": worker})
        return Claim(job_id, attempt, kind, owner, spec)

    def pulse(self, held: Iterable[tuple[str, int]]) -> dict[str, Pulse]:
        """For each held (job, attempt): whether it is still the holder's, and whether it should stop."""
        attempts = dict(held)
        columns = select(JobRow.id, JobRow.attempt, JobRow.state, JobRow.cancel_requested_at)
        with self.database.read() as connection:
            rows = connection.execute(columns.where(JobRow.id.in_(attempts))).all()
        found = {
            job_id: Pulse(attempt == attempts[job_id] and state == State.RUNNING, requested is not None)
            for job_id, attempt, state, requested in rows
        }
        return {job_id: found.get(job_id, Pulse(False, False)) for job_id in attempts}

    def renew(self, held: Iterable[tuple[str, int]], lease_s: float) -> None:
        """Push the end of the lease of each held (job, attempt) to `lease_s` seconds from now."""
        mine = or_(*(and_(JobRow.id == job_id, JobRow.attempt == attempt) for job_id, attempt in held))
        with self.database.write() as connection:
            connection.execute(
                update(JobRow).where(mine, JobRow.state == State.RUNNING).values(lease_until=now() + lease_s)
            )

    def set_progress(self, job_id: str, attempt: int, progress: Progress) -> None:
        """Say how far the job is.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            fenced_write(connection, job_id, attempt, {"progress": progress.model_dump(mode="json")})

    def keep(self, job_id: str, attempt: int, kept: Kept) -> None:
        """Write what a run has made so far.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            fenced_write(connection, job_id, attempt, {"attempt": attempt})
            _insert_kept(connection, job_id, attempt, kept)

    def add_artifact(self, job_id: str, attempt: int, artifact: ArtifactRef) -> None:
        """Make files that lie in the artifacts' folder an artifact of the job.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            fenced_write(connection, job_id, attempt, {"attempt": attempt})
            row = artifact.model_dump(mode="json") | {"job_id": job_id, "attempt": attempt, "created_at": now()}
            connection.execute(insert(ArtifactRow).values(row))
            append_event(connection, job_id, "artifact", attempt, artifact.model_dump(mode="json"))

    def finish(
        self, job_id: str, attempt: int, state: State, result: dict[str, Any] | None, kept: Kept, words: str = ""
    ) -> None:
        """End a job as succeeded or cancelled with what it made, all in one step; a search then finds its `words`.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            leave(connection, job_id, attempt, state, state.value, values={"result": result, "words": words})
            _insert_kept(connection, job_id, attempt, kept)

    def fail(self, job_id: str, attempt: int, trouble: Trouble, kept: Kept, traceback: str | None = None) -> None:
        """End a job as failed, with a sentence for people and a traceback for whoever mends it.

        Raises:
            Fenced: another attempt owns the job.
        """
        values = {"error": trouble.model_dump(mode="json"), "words": trouble.message}
        facts = {"code": trouble.code, "message": trouble.message}
        with self.database.write() as connection:
            leave(connection, job_id, attempt, State.FAILED, "failed", values=values, traceback=traceback, data=facts)
            _insert_kept(connection, job_id, attempt, kept)

    def give_back(self, job_id: str, attempt: int, reason: str) -> State:
        """Put a running job back into its queue; one that was asked to stop is cancelled instead.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            asked = select(JobRow.cancel_requested_at).where(JobRow.id == job_id).with_for_update()
            if connection.execute(asked).scalar() is not None:
                leave(connection, job_id, attempt, State.CANCELLED, "cancelled")
                return State.CANCELLED
            leave(connection, job_id, attempt, State.QUEUED, "given_back", data={"reason": reason})
            return State.QUEUED

    @cached_property
    def _pass_turn(self) -> Any:
        dialect = sqlite if self.database.is_sqlite else postgresql
        latest = select(func.coalesce(func.max(TURNS.c.number), 0) + 1).where(TURNS.c.queue == bindparam("of"))
        row = dialect.insert(TURNS).values(number=latest.scalar_subquery())
        return row.on_conflict_do_update(index_elements=["queue", "owner"], set_={"number": row.excluded.number})


def claim_order() -> tuple[Any, ...]:
    """The order in which `claim` takes the rows of jobs joined with turns."""
    return JOBS.c.priority.desc(), func.coalesce(TURNS.c.number, 0), JOBS.c.id


def waiting(queue: Any, *columns: Any) -> Select[Any]:
    """A query over the queued jobs of a queue, joined with their owners' turns."""
    turns = and_(TURNS.c.queue == JOBS.c.queue, TURNS.c.owner == JOBS.c.owner)
    joined = select(*columns).select_from(JOBS.outerjoin(TURNS, turns))
    return joined.where(JOBS.c.queue == queue, JOBS.c.state == State.QUEUED)


def _take() -> Any:
    best = waiting(bindparam("from_queue"), JOBS.c.id).order_by(*claim_order()).limit(1)
    unlocked = best.with_for_update(skip_locked=True, of=JOBS).scalar_subquery()
    taken = update(JOBS).where(JOBS.c.id == unlocked, JOBS.c.state == State.QUEUED)  # type: ignore[arg-type]
    return taken.values(
        state=State.RUNNING,
        attempt=JOBS.c.attempt + 1,
        worker=bindparam("by"),
        lease_until=now() + bindparam("lease_s", type_=Float),
        started_at=func.coalesce(JOBS.c.started_at, now()),
    ).returning(JOBS.c.id, JOBS.c.attempt, JOBS.c.kind, JOBS.c.owner, JOBS.c.spec)


_TAKE = _take()
_ATTEMPT = insert(ATTEMPTS).values(started_at=now())  # type: ignore[arg-type]


def _insert_kept(connection: Connection, job_id: str, attempt: int, kept: Kept) -> None:
    base = {"job_id": job_id, "attempt": attempt}
    if kept.measurements:
        rows = [base | {"id": new_id()} | measurement.model_dump() for measurement in kept.measurements]
        connection.execute(insert(MeasurementRow), rows)
    if kept.samples:
        bodies = [base | {"id": new_id(), "body": sample.model_dump(mode="json")} for sample in kept.samples]
        connection.execute(insert(SampleRow), bodies)
