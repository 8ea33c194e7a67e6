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

    `since_s` is how long it has been running, at this attempt, or waiting; `turn` is the number of the claim that last
    took a job of its owner.
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


class StandingReads(Part):
    """One consistent view of what runs and waits, whoever may see it."""

    def standings(self, most_of_owner: int) -> Standings:
        """What runs and waits; of each owner and priority in a queue at most so many jobs that wait."""
        with self.database.read() as connection:
            running = connection.execute(_RUNNING).all()
            queues = select(JOBS.c.queue, func.count()).where(JOBS.c.state == State.QUEUED).group_by(JOBS.c.queue)
            n_waiting = {str(row[0]): int(row[1]) for row in connection.execute(queues)}
            found = [one for queue in n_waiting for one in _first(connection, queue, most_of_owner)]
        return Standings(tuple(map(_runs, running)), tuple(map(_waits, found)), n_waiting)


_RUNNING = (
    select(*_OF_JOB, JOBS.c.progress, JOBS.c.cancel_requested_at, (now() - ATTEMPTS.c.started_at).label("since_s"))
    .join(ATTEMPTS, and_(ATTEMPTS.c.job_id == JOBS.c.id, ATTEMPTS.c.attempt == JOBS.c.attempt))
    .where(JOBS.c.state == State.RUNNING)
    .order_by(ATTEMPTS.c.started_at, JOBS.c.id)
)


def _first(connection: Connection, queue: str, most_of_owner: int) -> Any:
    among = func.row_number().over(partition_by=(JOBS.c.owner, JOBS.c.priority), order_by=JOBS.c.id)
    further = (JOBS.c.priority, turn().label("turn"), JOBS.c.expected_at, (now() - JOBS.c.created_at).label("since_s"))
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
