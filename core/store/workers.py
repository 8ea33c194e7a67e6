"""Workers, as they report themselves: a row that is gone with its lease."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.models import WorkerRow, now
from core.store.part import Part


@dataclass(frozen=True)
class WorkerInfo:
    """One worker process. Memory is of `device`, in bytes; `memory_kind` says whose: "gpu" or "host".

    `card` is the same for processes that share a device's memory, `place` for those that share files; `abilities` is a
    `core.abilities.Abilities` as JSON.
    """

    id: str
    queue: str
    host: str
    pid: int
    device: str
    memory_kind: str
    memory_total: float
    memory_free: float
    slots: int
    card: str = ""
    place: str = ""
    abilities: dict[str, Any] | None = None
    is_drain_requested: bool = False
    """That it finishes what it runs and takes nothing more: a wish of others, which its reports leave as it is."""


class Workers(Part):
    """Reports of workers."""

    def report_worker(self, info: WorkerInfo, lease_s: float) -> None:
        """Say that a worker lives, for `lease_s` seconds more."""
        dialect = sqlite if self.database.is_sqlite else postgresql
        row = dialect.insert(WorkerRow).values(**asdict(info), started_at=now(), lease_until=now() + lease_s)
        moving = {"memory_free": info.memory_free, "abilities": info.abilities, "lease_until": now() + lease_s}
        with self.database.write() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["id"], set_=moving))

    def retire_worker(self, worker_id: str) -> None:
        """Say that a worker has stopped."""
        with self.database.write() as connection:
            connection.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))

    def request_drain(self, worker_id: str, is_requested: bool) -> bool:
        """Wish that a worker takes no more jobs, or that it does again; whether there is such a worker."""
        wished = update(WorkerRow).where(WorkerRow.id == worker_id).values(is_drain_requested=is_requested)
        with self.database.write() as connection:
            return connection.execute(wished).rowcount == 1

    def is_drain_requested(self, worker_id: str) -> bool | None:
        """Whether a worker is to take no more jobs; None where its row is not there."""
        wished = select(WorkerRow.is_drain_requested).where(WorkerRow.id == worker_id)
        with self.database.read() as connection:
            return connection.execute(wished).scalar()

    def workers(self) -> list[WorkerInfo]:
        """The workers that live."""
        columns = [getattr(WorkerRow, name) for name in WorkerInfo.__dataclass_fields__]
        query = select(*columns).where(WorkerRow.lease_until > now()).order_by(WorkerRow.queue, WorkerRow.id)
        with self.database.read() as connection:
            return [WorkerInfo(*row) for row in connection.execute(query)]
