"""Which models lie where: what a worker found in its home and its Hub cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select

from core.models import ModelRow, WorkerRow, now
from core.store.part import Part
from core.values import ModelInfo


@dataclass(frozen=True)
class FoundModel:
    """A model and the place where it lies: a home on a host."""

    place: str
    info: ModelInfo


class Models(Part):
    """Reports of models."""

    def report_models(self, place: str, found: Sequence[ModelInfo]) -> None:
        """Make these the only models of a place."""
        rows = {
            (one.name, one.revision or ""): {
                "place": place,
                "name": one.name,
                "revision": one.revision or "",
                "body": _clean(one.model_dump(mode="json")),
            }
            for one in found
            if one.name.isprintable() and len(one.name) <= 500  # a folder's name may be no text at all
        }
        with self.database.write() as connection:
            connection.execute(delete(ModelRow).where(ModelRow.place == place))
            if rows:
                connection.execute(insert(ModelRow).values(reported_at=now()), list(rows.values()))

    def models(self) -> list[FoundModel]:
        """The models of every place where a worker lives."""
        alive = select(WorkerRow.place).where(WorkerRow.lease_until > now())
        query = select(ModelRow.place, ModelRow.body).where(ModelRow.place.in_(alive))
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(ModelRow.place, ModelRow.name, ModelRow.revision)).all()
        return [FoundModel(place, ModelInfo.model_validate(body)) for place, body in rows]


def _clean(body: dict[str, Any]) -> dict[str, Any]:
    """Without what no database takes as text: strangers' files may hold anything."""
    return {name: _text(value) if isinstance(value, str) else value for name, value in body.items()}


def _text(value: str) -> str:
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
