"""What the parts of the store share: the database, the fence, and how a fact is appended.

Statements on the way of every job are built once, with parameters: building one costs more than running it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Integer, String, Update, bindparam, func, insert, select, update

from core.errors import Fenced
from core.models import AttemptRow, EventRow, JobRow, Json, now
from core.states import State, check_move
from core.store.database import Database

JOBS, ATTEMPTS, EVENTS = JobRow.__table__, AttemptRow.__table__, EventRow.__table__
MAX_WORDS = 20_000

_SEQ = select(func.coalesce(func.max(EVENTS.c.seq), 0) + 1).where(EVENTS.c.job_id == bindparam("job", type_=String))
_EVENT = insert(EVENTS).from_select(  # type: ignore[arg-type]
    ["job_id", "seq", "at", "kind", "attempt", "data"],
    select(
        bindparam("job", type_=String),
        _SEQ.scalar_subquery(),
        now(),
        bindparam("event", type_=String),
        bindparam("number", type_=Integer),
        bindparam("facts", type_=Json),
    ),
)
_CLOSE = (
    update(ATTEMPTS)  # type: ignore[arg-type]
    .where(ATTEMPTS.c.job_id == bindparam("job"), ATTEMPTS.c.attempt == bindparam("number"))
    .values(ended_at=now(), outcome=bindparam("how"), traceback=bindparam("trace"))
)


class Part:
    """A part of the store."""

    def __init__(self, database: Database) -> None:
        self.database = database


def append_event(
    connection: Connection, job_id: str, kind: str, attempt: int = 0, data: Mapping[str, Any] | None = None
) -> None:
    """Append a fact. The transaction must have written the job's row before: that lock keeps `seq` without gaps."""
    connection.execute(_EVENT, {"job": job_id, "event": kind, "number": attempt, "facts": dict(data or {})})


def fenced_write(connection: Connection, job_id: str, attempt: int, values: Mapping[str, Any]) -> None:
    """Update a job under its attempt. The value `now` is the database's clock; `words` are added to those there.

    Raises:
        Fenced: another attempt owns the job, or the job has ended.
    """
    clocked = tuple(name for name, value in values.items() if value is now)
    plain = {name: value for name, value in values.items() if value is not now}
    result = connection.execute(_fenced(tuple(plain), clocked), {"job": job_id, "number": attempt, **plain})
    if result.rowcount == 0:
        raise Fenced(f"Attempt {attempt} no longer owns job {job_id}: it was declared lost or the job has ended.")


def leave(
    connection: Connection,
    job_id: str,
    attempt: int,
    new: State,
    event: str,
    *,
    values: Mapping[str, Any] | None = None,
    outcome: str = "",
    traceback: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Take a running job out of `running`, close its attempt and say so, with further `values` to set.

    Raises:
        Fenced: another attempt owns the job.
    """
    check_move(State.RUNNING, new)
    ended = {"finished_at": now} if new.is_finished else {"worker": None, "progress": None}
    fenced_write(connection, job_id, attempt, {"state": new, "lease_until": None, **ended, **(values or {})})
    close = {"job": job_id, "number": attempt, "how": outcome or event, "trace": traceback}
    connection.execute(_CLOSE, close)
    append_event(connection, job_id, event, attempt, data)


@lru_cache
def _fenced(names: tuple[str, ...], clocked: tuple[str, ...]) -> Update:
    """An update of these columns that hits nothing unless the attempt still owns the job."""
    values: dict[str, Any] = {name: bindparam(name, type_=JOBS.c[name].type) for name in names}
    values |= {name: now() for name in clocked}
    if "words" in values:
        values["words"] = func.substr(JOBS.c.words + "\n" + values["words"], 1, MAX_WORDS)
    mine = (JOBS.c.id == bindparam("job"), JOBS.c.attempt == bindparam("number"), JOBS.c.state == State.RUNNING)
    return update(JOBS).where(*mine).values(values)  # type: ignore[arg-type]
