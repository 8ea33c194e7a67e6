"""What each process holds of a card, and what others wish of it: to keep a model, or to let it go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.models import HoldingRow, WorkerRow, now
from core.store.part import Part


@dataclass(frozen=True)
class Holding:
    """Memory of `card` that `worker` holds under `key`: `n_bytes` of a model, `work_bytes` of jobs that use it."""

    worker: str
    key: str
    card: str
    model: str
    revision: str | None
    precision: str
    attention: str
    n_bytes: int
    is_loading: bool
    users: tuple[str, ...]
    used_at: float
    work_bytes: int = 0
    is_pinned: bool = False
    is_release_requested: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether it may be let go."""
        return not self.users and not self.is_loading and not self.is_pinned


class Holdings(Part):
    """Reports of what is held, and wishes."""

    def report_holdings(self, worker: str, held: Sequence[Holding], gone: Collection[str] = ()) -> None:
        """Make these the worker's only holdings; wishes that others have written stay as they are.

        Args:
            gone: keys that were let go meanwhile: one that is held again is another model, of which nothing was wished.
        """
        own = HoldingRow.worker == worker
        dialect = sqlite if self.database.is_sqlite else postgresql
        insert = dialect.insert(HoldingRow)
        moving = {name: insert.excluded[name] for name in ("n_bytes", "work_bytes", "is_loading", "users", "used_at")}
        with self.database.write() as connection:
            kept = [one.key for one in held if one.key not in gone]
            connection.execute(delete(HoldingRow).where(own, HoldingRow.key.not_in(kept)))
            if held and connection.execute(select(WorkerRow.id).where(WorkerRow.id == worker)).first():
                rows = [asdict(one) | {"users": list(one.users)} for one in held]
                connection.execute(insert.on_conflict_do_update(index_elements=["worker", "key"], set_=moving), rows)

    def holdings(self, *, worker: str = "", card: str = "") -> list[Holding]:
        """What living workers hold, the last used first; of one worker or card where it is named."""
        query = select(HoldingRow.__table__).join(WorkerRow, WorkerRow.id == HoldingRow.worker)
        query = query.where(WorkerRow.lease_until > now()).order_by(HoldingRow.used_at.desc(), HoldingRow.key)
        for column, value in ((HoldingRow.worker, worker), (HoldingRow.card, card)):
            query = query.where(column == value) if value else query
        with self.database.read() as connection:
            return [_holding(row._mapping) for row in connection.execute(query)]

    def request_release(self, held: Iterable[Holding]) -> None:
        """Wish that these be let go as soon as nobody uses them; pinned ones stay."""
        for one in held:
            self._wish(one, is_release_requested=True)

    def pin(self, held: Iterable[Holding], is_pinned: bool) -> None:
        """Wish that these stay until they are unpinned, or no longer."""
        for one in held:
            self._wish(one, is_pinned=is_pinned, **({"is_release_requested": False} if is_pinned else {}))

    def _wish(self, one: Holding, **values: bool) -> None:
        mine = (HoldingRow.worker == one.worker, HoldingRow.key == one.key)
        with self.database.write() as connection:
            connection.execute(update(HoldingRow).where(*mine).values(**values))


def _holding(row: Any) -> Holding:
    return Holding(**{**row, "users": tuple(row["users"])})
