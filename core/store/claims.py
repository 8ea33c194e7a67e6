"""What a worker does to a job: claim it, hold it, write under its attempt, leave it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import Connection, Float, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import NotFound
from core.ids import new_id
from core.models import ArtifactRow, JobRow, MeasurementRow, SampleRow, WorkerRow, now
from core.states import State
from core.store.crowding import lock
from core.store.metrics import Metrics
from core.store.part import ATTEMPTS, JOBS, append_event, fenced_write, leave
from core.store.waiting import TURNS, Terms, best, parameters, rounded
from core.values import ArtifactRef, Measurement, Metric, Progress, Sample, Trouble


@dataclass(frozen=True)
class Claim:
    """A job that one worker now owns, by its attempt number."""

    job_id: str
    attempt: int
    kind: str
    owner: str
    spec: dict[str, Any]
    load_key: str = ""
    work_tokens: int = 0
    pipeline_id: str | None = None


@dataclass(frozen=True)
class Pulse:
    """What a worker hears about a job that it holds."""

    is_mine: bool
    is_cancel_requested: bool
    is_pause_requested: bool = False


@dataclass(frozen=True)
class Kept:
    """What a run has made since it last wrote."""

    measurements: Sequence[Measurement] = ()
    samples: Sequence[Sample] = ()
    metrics: Sequence[Metric] = ()


class Claims(Metrics):
    """Writes that a worker makes, each fenced by the attempt number."""

    def claim(
        self,
        queue: str,
        worker: str,
        lease_s: float,
        device: str = "",
        terms: Terms | None = None,
        most_running: int = 0,
    ) -> Claim | None:
        """Take the best queued job that the terms allow; nothing for a worker that is being drained.

        Highest priority first, then what need not wait for another model to go, then the owner whose turn it is, then
        the oldest. One conditional UPDATE decides, so that no two workers ever hold one job.

        Args:
            most_running: of one owner so many jobs of the queue may run at once; 0: any number.
        """
        if terms is not None and not terms.takes:
            return None
        n_takes = rounded(len(terms.takes)) if terms else None
        statement = _take(n_takes, bool(terms and terms.before), bool(most_running))
        with self.database.write() as connection:
            if most_running:
                lock(connection, f"claims of {queue}")  # else two workers count the same jobs, and each adds one
            asked = {"from_queue": queue, "by": worker, "lease_s": lease_s, **parameters(terms, most_running)}
            row = connection.execute(statement, asked).first()
            if row is None:
                return None
            found = dict(row._mapping)
            claim = Claim(job_id=found.pop("id"), **{name: found.pop(name) for name in _OF_CLAIM})
            began = {"job_id": claim.job_id, "attempt": claim.attempt, "worker": worker, "device": device}
            connection.execute(_ATTEMPT, began)
            connection.execute(self._pass_turn, {"of": queue, "queue": queue, "owner": claim.owner})
            facts = {"worker": worker} | _as_expected(claim, **found)
            append_event(connection, claim.job_id, "claimed", claim.attempt, facts)
        return claim

    def pulse(self, held: Iterable[tuple[str, int]]) -> dict[str, Pulse]:
        """For each held (job, attempt): whether it is still the holder's, and whether it should stop."""
        attempts = dict(held)
        columns = select(JobRow.id, JobRow.attempt, JobRow.state, JobRow.cancel_requested_at, JobRow.pause_requested_at)
        with self.database.read() as connection:
            rows = connection.execute(columns.where(JobRow.id.in_(attempts))).all()
        found = {
            job_id: Pulse(attempt == attempts[job_id] and state == State.RUNNING, cancel is not None, pause is not None)
            for job_id, attempt, state, cancel, pause in rows
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
            self._insert_kept(connection, job_id, attempt, kept)

    def keep_result(self, job_id: str, attempt: int, result: dict[str, Any]) -> None:
        """Write what is known of a result that is still being made; it stays whatever becomes of the attempt.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            fenced_write(connection, job_id, attempt, {"result": result})

    def add_event(self, job_id: str, attempt: int, kind: str, data: dict[str, Any]) -> None:
        """Append what an attempt says of itself.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            fenced_write(connection, job_id, attempt, {"attempt": attempt})
            append_event(connection, job_id, kind, attempt, data)

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

    def leave_artifact(self, job_id: str, attempt: int, artifact: ArtifactRef) -> None:
        """Add what a job that has ended left behind.

        Raises:
            NotFound: the job has been deleted meanwhile.
        """
        with self.database.write() as connection:
            there = select(JobRow.id).where(JobRow.id == job_id).with_for_update()
            if connection.execute(there).first() is None:
                raise NotFound(f"There is no job {job_id}.")
            row = artifact.model_dump(mode="json") | {"job_id": job_id, "attempt": attempt, "created_at": now()}
            connection.execute(insert(ArtifactRow).values(row))
            append_event(connection, job_id, "artifact", attempt, artifact.model_dump(mode="json"))

    def finish(
        self, job_id: str, attempt: int, state: State, result: dict[str, Any] | None, kept: Kept, words: str = ""
    ) -> None:
        """End a job as succeeded or cancelled with what it made, all in one step; a search then finds its `words`.

        Without a result the one that it kept meanwhile, if any, stays.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            values = {"words": words} if result is None else {"result": result, "words": words}
            leave(connection, job_id, attempt, state, state.value, values=values)
            self._insert_kept(connection, job_id, attempt, kept)

    def fail(self, job_id: str, attempt: int, trouble: Trouble, kept: Kept, traceback: str | None = None) -> None:
        """End a job as failed, with a sentence for people and a traceback for whoever mends it.

        Raises:
            Fenced: another attempt owns the job.
        """
        values = {"error": trouble.model_dump(mode="json"), "words": trouble.message}
        facts = {"code": trouble.code, "message": trouble.message}
        with self.database.write() as connection:
            leave(connection, job_id, attempt, State.FAILED, "failed", values=values, traceback=traceback, data=facts)
            self._insert_kept(connection, job_id, attempt, kept)

    def give_back(self, job_id: str, attempt: int, reason: str) -> State:
        """Put a running job back into its queue; one that was asked to stop is cancelled instead, or held.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            asked = select(JobRow.cancel_requested_at, JobRow.pause_requested_at).where(JobRow.id == job_id)
            row = connection.execute(asked.with_for_update()).first()
            if row is not None and row.cancel_requested_at is not None:
                leave(connection, job_id, attempt, State.CANCELLED, "cancelled")
                return State.CANCELLED
            if row is not None and row.pause_requested_at is not None:
                leave(connection, job_id, attempt, State.HELD, "held")
                return State.HELD
            leave(connection, job_id, attempt, State.QUEUED, "given_back", data={"reason": reason})
            return State.QUEUED

    def _insert_kept(self, connection: Connection, job_id: str, attempt: int, kept: Kept) -> None:
        base = {"job_id": job_id, "attempt": attempt}
        if kept.measurements:
            rows = [base | {"id": new_id()} | measurement.model_dump() for measurement in kept.measurements]
            connection.execute(insert(MeasurementRow), rows)
        if kept.samples:
            bodies = [base | {"id": new_id(), "body": sample.model_dump(mode="json")} for sample in kept.samples]
            connection.execute(insert(SampleRow), bodies)
        self._insert_metrics(connection, job_id, attempt, kept.metrics)

    @cached_property
    def _pass_turn(self) -> Any:
        dialect = sqlite if self.database.is_sqlite else postgresql
        latest = select(func.coalesce(func.max(TURNS.c.number), 0) + 1).where(TURNS.c.queue == bindparam("of"))
        row = dialect.insert(TURNS).values(number=latest.scalar_subquery())
        return row.on_conflict_do_update(index_elements=["queue", "owner"], set_={"number": row.excluded.number})


_OF_CLAIM = tuple(name for name in Claim.__dataclass_fields__ if name != "job_id")
_WORKERS = WorkerRow.__table__


def _as_expected(claim: Claim, expected_at: float | None, expected_from: float | None, at: float) -> dict[str, float]:
    """How long a job was said to wait, and did, both from when that was said; nothing where nothing was."""
    if claim.attempt > 1 or expected_at is None or expected_from is None:
        return {}
    return {"expected_s": round(expected_at - expected_from, 3), "waited_s": round(at - expected_from, 3)}


@lru_cache
def _take(n_takes: int | None, has_before: bool, has_most: bool) -> Any:
    unlocked = best(n_takes, has_before, has_most).with_for_update(skip_locked=True, of=JOBS).scalar_subquery()
    drained = select(_WORKERS.c.id).where(_WORKERS.c.id == bindparam("by"), _WORKERS.c.is_drain_requested)
    mine = (JOBS.c.id == unlocked, JOBS.c.state == State.QUEUED, ~drained.exists())
    taken = update(JOBS).where(*mine)  # type: ignore[arg-type]
    return taken.values(
        state=State.RUNNING,
        attempt=JOBS.c.attempt + 1,
        worker=bindparam("by"),
        lease_until=now() + bindparam("lease_s", type_=Float),
        started_at=func.coalesce(JOBS.c.started_at, now()),
        waiting_reason="",
    ).returning(*(JOBS.c[name] for name in (*_OF_CLAIM, "id", "expected_at", "expected_from")), now().label("at"))


_ATTEMPT = insert(ATTEMPTS).values(started_at=now())  # type: ignore[arg-type]
