"""What waits in a queue: in which order, under which load key, and the words for why.

A load key stands for the model that a job needs; a worker decides by key, not job by job, what it can take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Float, Integer, Select, and_, bindparam, case, func, literal, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from core.models import TurnRow, now
from core.states import State
from core.store.part import JOBS, Part

TURNS = TurnRow.__table__
RUNNING = JOBS.alias("those_that_run")
NO_TURN = 0
MOST_KEYS = 100  # a statement has a longest; who names thousands of models must not stop the others


@dataclass(frozen=True)
class Waiting:
    """The queued jobs of one load key: how long the oldest has waited, and the most tokens that one of them needs."""

    load_key: str
    n_jobs: int
    oldest: str
    waits_s: float
    priority: int
    most_tokens: int
    has_reason: bool = False
    """Whether one of them was told why it waits."""


@dataclass(frozen=True)
class Take:
    """That jobs of a load key may be claimed, with at most so many tokens; `is_ready`: without letting a model go.

    Those with more than `above_tokens` may be claimed too: they can never run and are to be told so.
    """

    load_key: str
    most_tokens: int
    is_ready: bool
    above_tokens: int = 2**62


@dataclass(frozen=True)
class HeldUp:
    """The queued jobs of a load key with more than so many tokens, which wait for memory that others use."""

    load_key: str
    above_tokens: int


@dataclass(frozen=True)
class Terms:
    """What a worker can take now.

    Args:
        takes: by load key; a key that is not named is not taken.
        patience_s: ready keys go first, but not before a job that has waited as long as this.
        before: where jobs of a key wait too long for others to end, only what comes before the first of them in the
            order of the turns may still begin.
    """

    takes: tuple[Take, ...]
    patience_s: float
    before: HeldUp | None = None


class Waitings(Part):
    """Reads of the queue by load key, and the reasons."""

    def waiting_keys(self, queue: str, most_running: int = 0) -> list[Waiting]:
        """What waits in a queue, by load key, the oldest first: jobs without a model, and the first hundred models.

        Args:
            most_running: jobs of owners of whom so many run are left out: nothing must wait for them; 0: none are.
        """
        asked = {"from_queue": queue} | ({"most_running": most_running} if most_running else {})
        with self.database.read() as connection:
            rows = connection.execute(_keys(bool(most_running)), asked).all()
        return [
            Waiting(key, n, oldest, s, priority, most, bool(why)) for key, n, oldest, s, priority, most, why in rows
        ]

    def explain(self, queue: str, load_key: str, reason: str, *, above_tokens: int = -1) -> list[str]:
        """Say why the queued jobs of a key wait, of those that need more than so many tokens.

        Returns:
            The ids of the jobs whose reason was another one before.
        """
        queued = (JOBS.c.queue == queue, JOBS.c.state == State.QUEUED, JOBS.c.load_key == load_key)
        other = (JOBS.c.work_tokens > above_tokens, JOBS.c.waiting_reason != reason)
        with self.database.read() as connection:
            if connection.execute(select(JOBS.c.id).where(*queued, *other).limit(1)).first() is None:
                return []
        statement = update(JOBS).where(*queued, *other).values(waiting_reason=reason).returning(JOBS.c.id)  # type: ignore[arg-type]
        with self.database.write() as connection:
            return list(connection.execute(statement).scalars())


def turn() -> ColumnElement[int]:
    """The number of the claim that last took a job of an owner, of jobs joined with turns."""
    return func.coalesce(TURNS.c.number, NO_TURN)


def claim_order() -> tuple[Any, ...]:
    """The order in which the rows of jobs joined with turns are claimed where everything fits."""
    return JOBS.c.priority.desc(), turn(), JOBS.c.id


def waiting(queue: Any, *columns: Any) -> Select[Any]:
    """A query over the queued jobs of a queue, joined with their owners' turns."""
    turns = and_(TURNS.c.queue == JOBS.c.queue, TURNS.c.owner == JOBS.c.owner)
    joined = select(*columns).select_from(JOBS.outerjoin(TURNS, turns))
    return joined.where(JOBS.c.queue == queue, JOBS.c.state == State.QUEUED)


def is_below_most() -> ColumnElement[bool]:
    """Whether fewer than `most_running` jobs of a job's owner run in its queue."""
    same = (RUNNING.c.queue == JOBS.c.queue, RUNNING.c.owner == JOBS.c.owner, RUNNING.c.state == State.RUNNING)
    n_running = select(func.count()).select_from(RUNNING).where(*same).correlate(JOBS).scalar_subquery()
    return n_running < bindparam("most_running", type_=Integer)


@lru_cache
def best(n_takes: int | None, has_before: bool, has_most: bool) -> Select[Any]:
    """The id of the job that is claimed next, within the terms that `parameters` gives; None: without any."""
    query = waiting(bindparam("from_queue"), JOBS.c.id)
    if has_most:
        query = query.where(is_below_most())
    if n_takes is None:
        return query.order_by(*claim_order()).limit(1)
    query = query.where(or_(*(_taken(n) for n in range(n_takes))))
    if has_before:
        query = query.where(or_(_comes_before_those_held_up(has_most), JOBS.c.load_key == ""))
    ready: list[Any] = [(JOBS.c.load_key == bindparam(f"key_{n}"), bindparam(f"rank_{n}")) for n in range(n_takes)]
    has_waited = JOBS.c.created_at <= now() - bindparam("patience_s", type_=Float)
    priority, turns, age = claim_order()
    return query.order_by(priority, case((has_waited, literal(0)), *ready, else_=literal(1)), turns, age).limit(1)


def _comes_before_those_held_up(has_most: bool) -> ColumnElement[bool]:
    """Whether a job would be claimed before the first of those that are held up, or is that one.

    By turns and not by age: else who has submitted five hundred jobs first would keep the memory until they have run.
    """
    those = (JOBS.c.load_key == bindparam("before_key"), JOBS.c.work_tokens > bindparam("before_tokens"))
    held_up = waiting(bindparam("from_queue"), JOBS.c.priority, turn().label("turn"), JOBS.c.id).where(*those)
    if has_most:
        held_up = held_up.where(is_below_most())
    first = held_up.order_by(*claim_order()).limit(1).subquery("first_held_up")
    same_turn = and_(turn() == first.c.turn, JOBS.c.id <= first.c.id)
    same_priority = and_(JOBS.c.priority == first.c.priority, or_(turn() < first.c.turn, same_turn))
    goes_first = select(first.c.id).where(or_(JOBS.c.priority > first.c.priority, same_priority))
    nobody = ~select(first.c.id).exists()  # it has been cancelled meanwhile
    return or_(goes_first.correlate(JOBS, TURNS).exists(), nobody)


def parameters(terms: Terms | None, most_running: int = 0) -> dict[str, Any]:
    """The parameters of `best`."""
    found: dict[str, Any] = {"most_running": most_running} if most_running else {}
    if terms is None:
        return found
    found["patience_s"] = terms.patience_s
    repeated = (*terms.takes, *[terms.takes[-1]] * (rounded(len(terms.takes)) - len(terms.takes)))
    for n, take in enumerate(repeated):
        found |= {f"key_{n}": take.load_key, f"rank_{n}": 0 if take.is_ready else 1}
        found |= {f"most_{n}": take.most_tokens, f"above_{n}": take.above_tokens}
    if terms.before:
        found |= {"before_key": terms.before.load_key, "before_tokens": terms.before.above_tokens}
    return found


def rounded(n_takes: int) -> int:
    """The next power of two: a statement for each number of takes would have to be made anew again and again."""
    return 1 << (n_takes - 1).bit_length()


def _taken(n: int) -> ColumnElement[bool]:
    tokens = JOBS.c.work_tokens
    fits = or_(tokens <= bindparam(f"most_{n}"), tokens > bindparam(f"above_{n}"))
    return and_(JOBS.c.load_key == bindparam(f"key_{n}"), fits)


@lru_cache
def _keys(has_most: bool) -> Select[Any]:
    queued = [JOBS.c.queue == bindparam("from_queue"), JOBS.c.state == State.QUEUED]
    oldest = func.min(JOBS.c.id)
    columns: Sequence[Any] = (
        JOBS.c.load_key,
        func.count(),
        oldest,
        now() - func.min(JOBS.c.created_at),
        func.max(JOBS.c.priority),
        func.max(JOBS.c.work_tokens),
        func.max(JOBS.c.waiting_reason),
    )
    grouped = select(*columns).where(*queued, *([is_below_most()] if has_most else [])).group_by(JOBS.c.load_key)
    return grouped.order_by(JOBS.c.load_key != "", func.max(JOBS.c.priority).desc(), oldest).limit(MOST_KEYS)
