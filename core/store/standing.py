"""Where everything stands at one moment: what runs on which worker, and the first of what waits in each queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, select

from core.models import now
from core.states import State
from core.store.part import ATTEMPTS, JOBS, Part
from core.store.waiting import claim_order, turn, waiting
from core.values import Progress, Visibility

_OF_JOB = tuple(
    JOBS.c[name]
    for name in ("id", "owner", "kind", "name", "model", "visibility", "queue", "load_key", "worker", "waiting_reason")
)


@dataclass(frozen=True)
class Standing:
    """A job that runs or waits, as far as that is asked of it here.

    `since` is when this attempt began, or when it was submitted, and `since_s` how long ago that is; `turn` is the
    number of the claim that last took a job of its owner.
    """

    id: str
    owner: str
    kind: str
    name: str
    model: str
    visibility: Visibility
    queue: str
    load_key: str
    worker: str | None
    waiting_reason: str
    since: float
    since_s: float
    priority: int = 0
    turn: int = 0
    is_expected: bool = False
    """Whether anybody was told when it will start."""
    progress: Progress | None = None
    is_cancel_requested: bool = False


@dataclass(frozen=True)
class Standings:
    """All that runs, the oldest first, and of what waits the first of each owner; `n_waiting` counts all, by queue."""

    running: tuple[Standing, ...]
    waiting: tuple[Standing, ...]
    n_waiting: dict[str, int]


@dataclass(frozen=True)
class Ended:
    """A job that has ended, as far as its owner is told so in passing."""

    id: str
    kind: str
    name: str
    state: State


class StandingReads(Part):
    """One consistent view of what runs and waits, whoever may see it; and what has just ended of one's own."""

    def ended_lately(self, owner: str, within_s: float, longer_than_s: float, most: int) -> list[Ended]:
        """The jobs of an owner that have ended well or badly by themselves, the last first.

        Args:
            within_s: so many seconds ago at most.
            longer_than_s: who waited less for the end has seen it; from the submission on. Steps are told as a whole.
        """
        own = (JOBS.c.owner == owner, JOBS.c.finished_at > now() - within_s, JOBS.c.pipeline_id.is_(None))
        long = JOBS.c.finished_at - JOBS.c.created_at > longer_than_s
        query = select(JOBS.c.id, JOBS.c.kind, JOBS.c.name, JOBS.c.state).where(
            *own, long, JOBS.c.state.in_((State.SUCCEEDED, State.FAILED))
        )
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(JOBS.c.finished_at.desc()).limit(most)).all()
        return [Ended(row.id, row.kind, row.name, State(row.state)) for row in rows]

    def standings(self, most_of_owner: int) -> Standings:
        """What runs and waits; of each owner and priority in a queue at most so many jobs that wait."""
        with self.database.read() as connection:
            running = connection.execute(_RUNNING).all()
            queues = select(JOBS.c.queue, func.count()).where(JOBS.c.state == State.QUEUED).group_by(JOBS.c.queue)
            n_waiting = {str(row[0]): int(row[1]) for row in connection.execute(queues)}
            found = [one for queue in n_waiting for one in _first(connection, queue, most_of_owner)]
        return Standings(tuple(map(_runs, running)), tuple(map(_waits, found)), n_waiting)


def _since(column: Any) -> tuple[Any, Any]:
    return column.label("since"), (now() - column).label("since_s")


_RUNNING = (
    select(*_OF_JOB, JOBS.c.progress, JOBS.c.cancel_requested_at, *_since(ATTEMPTS.c.started_at))
    .join(ATTEMPTS, and_(ATTEMPTS.c.job_id == JOBS.c.id, ATTEMPTS.c.attempt == JOBS.c.attempt))
    .where(JOBS.c.state == State.RUNNING)
    .order_by(ATTEMPTS.c.started_at, JOBS.c.id)
)


def _first(connection: Connection, queue: str, most_of_owner: int) -> Any:
    among = func.row_number().over(partition_by=(JOBS.c.owner, JOBS.c.priority), order_by=JOBS.c.id)
    further = (JOBS.c.priority, turn().label("turn"), JOBS.c.expected_at, *_since(JOBS.c.created_at))
    ranked = waiting(queue, *_OF_JOB, *further, among.label("among")).order_by(*claim_order()).subquery()
    return connection.execute(select(ranked).where(ranked.c.among <= most_of_owner))


def _runs(row: Any) -> Standing:
    facts = dict(row._mapping)
    progress, cancelled = facts.pop("progress"), facts.pop("cancel_requested_at")
    facts["progress"] = Progress.model_validate(progress) if progress else None
    return Standing(**_common(facts), is_cancel_requested=cancelled is not None)


def _waits(row: Any) -> Standing:
    facts = dict(row._mapping)
    expected = facts.pop("expected_at")
    del facts["among"]
    return Standing(**_common(facts), is_expected=expected is not None)


def _common(facts: dict[str, Any]) -> dict[str, Any]:
    return facts | {"visibility": Visibility(facts["visibility"]), "since_s": max(facts["since_s"], 0.0)}
