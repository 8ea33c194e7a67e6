"""Whether there may be one more job: counted in the transaction that adds it, so that nobody slips in between.

On SQLite writing transactions come one after the other anyhow; on PostgreSQL those who might count the same jobs wait
for each other, and no one else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, text

from core.errors import TooMany
from core.limits import Limits
from core.states import State
from core.store.part import JOBS

UNFINISHED = tuple(state for state in State if not state.is_finished)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))")
_WAIT = "Wait until one has ended, or cancel one: `workbench jobs --state queued` lists what waits."


@dataclass(frozen=True)
class _Bound:
    """At most so many jobs of which `where` holds; who adds one of them holds the lock `name` meanwhile."""

    most: int
    name: str
    where: tuple[ColumnElement[bool], ...]
    message: str
    hint: str


def lock(connection: Connection, what: str) -> None:
    """Wait until no other transaction holds the lock of this name; it is given back when the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"what": what})


def lock_for(connection: Connection, limits: Limits, owner: str, source: str | None) -> None:
    """Keep out those who would count the same jobs. In one order for all, so that two never wait for each other."""
    for bound in _bounds(limits, owner, source):
        lock(connection, bound.name)


def check_not_too_many(connection: Connection, limits: Limits, owner: str, source: str | None) -> None:
    """Refuse the job that has just been added where it is one too many.

    Raises:
        TooMany: which limit it is, and what can be done.
    """
    for bound in _bounds(limits, owner, source):
        unfinished = select(func.count()).select_from(JOBS).where(JOBS.c.state.in_(UNFINISHED), *bound.where)
        n_jobs: Any = connection.execute(unfinished.where(JOBS.c.pipeline_id.is_(None))).scalar_one()
        if n_jobs > bound.most:
            raise TooMany(bound.message, bound.hint)


def _bounds(limits: Limits, owner: str, source: str | None) -> Iterator[_Bound]:
    if most := limits.most_of_owner:
        said = f"You have {_jobs(most)} that {_wait(most)} or {_run(most)}, the most at once."
        yield _Bound(most, f"jobs of {owner}", (JOBS.c.owner == owner,), said, _WAIT)
    if source and (most := limits.most_of_source):
        said = f"{_jobs(most).capitalize()} from your address {_wait(most)} or {_run(most)}, the most at once."
        hint = "Wait until one has ended: others may share the address."
        yield _Bound(most, f"jobs from {source}", (JOBS.c.source == source,), said, hint)
    if most := limits.most_in_all:
        said = f"{_jobs(most).capitalize()} {_wait(most)} or {_run(most)} here, the most that are taken."
        yield _Bound(most, "jobs in all", (), said, "Try again once some have ended.")


def _jobs(n: int) -> str:
    return f"{n:,} job{'' if n == 1 else 's'}"


def _wait(n: int) -> str:
    return "waits" if n == 1 else "wait"


def _run(n: int) -> str:
    return "runs" if n == 1 else "run"
