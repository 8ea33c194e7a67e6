"""What the parts of the store share: the database, the fence, and how a fact is appended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, Update, func, insert, literal, select, update

from core.errors import Fenced
from core.models import AttemptRow, EventRow, JobRow, now
from core.states import State, check_move
from core.store.database import Database


class Part:
    """A part of the store."""

    def __init__(self, database: Database) -> None:
        self.database = database


def append_event(
    connection: Connection, job_id: str, kind: str, attempt: int = 0, data: Mapping[str, Any] | None = None
) -> None:
    """Append a fact. The transaction must have written the job's row before: that lock keeps `seq` without gaps."""
    seq = select(func.coalesce(func.max(EventRow.seq), 0) + 1).where(EventRow.job_id == job_id).scalar_subquery()
    row = select(
        literal(job_id), seq, now(), literal(kind), literal(attempt), literal(dict(data or {}), EventRow.data.type)
    )
    columns = ["job_id", "seq", "at", "kind", "attempt", "data"]
    connection.execute(insert(EventRow).from_select(columns, row))


def fenced_update(job_id: str, attempt: int) -> Update:
    """An update of a job that hits nothing unless this attempt still owns it."""
    return update(JobRow).where(JobRow.id == job_id, JobRow.attempt == attempt, JobRow.state == State.RUNNING)


def require_hit(result: CursorResult[Any], job_id: str, attempt: int) -> None:
    """Raise where a fenced update hit nothing.

    Raises:
        Fenced: another attempt owns the job, or the job has ended.
    """
    if result.rowcount == 0:
        raise Fenced(f"Attempt {attempt} no longer owns job {job_id}: it was declared lost or the job has ended.")


def leave(connection: Connection, job_id: str, attempt: int, new: State, event: str, **columns: Any) -> None:
    """Take a running job out of `running`, close its attempt and say so. `columns` are further ones to set.

    Raises:
        Fenced: another attempt owns the job.
    """
    check_move(State.RUNNING, new)
    traceback, data, outcome = (columns.pop(name, None) for name in ("traceback", "data", "outcome"))
    ended = {"finished_at": now()} if new.is_finished else {"worker": None, "progress": None}
    values = {"state": new, "lease_until": None, **ended, **columns}
    require_hit(connection.execute(fenced_update(job_id, attempt).values(values)), job_id, attempt)
    close = update(AttemptRow).where(AttemptRow.job_id == job_id, AttemptRow.attempt == attempt)
    connection.execute(close.values(ended_at=now(), outcome=outcome or event, traceback=traceback))
    append_event(connection, job_id, event, attempt, data)
