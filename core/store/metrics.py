"""Curves of training runs: what was logged at each step, whichever attempt did it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from core.models import MetricRow
from core.store.part import Part, fenced_write
from core.values import Metric

TABLE = MetricRow.__table__


class Metrics(Part):
    """One row for the training, the evaluation and the machine at each step: a step that is done again replaces it."""

    def rewind(self, job_id: str, attempt: int, step: int) -> None:
        """Forget what was logged after `step`: the attempt goes on from there.

        Raises:
            Fenced: another attempt owns the job.
        """
        with self.database.write() as connection:
            fenced_write(connection, job_id, attempt, {"attempt": attempt})
            connection.execute(delete(MetricRow).where(MetricRow.job_id == job_id, MetricRow.step > step))

    def metrics(self, job_id: str) -> list[Metric]:
        """All that was logged of a job, in the order of its steps."""
        query = select(TABLE).where(TABLE.c.job_id == job_id).order_by(TABLE.c.step, TABLE.c.sort)
        with self.database.read() as connection:
            return list(map(_metric_of, connection.execute(query)))

    def evaluations(self, job_id: str, most: int) -> list[Metric]:
        """The last evaluations of a job, in the order of their steps."""
        query = select(TABLE).where(TABLE.c.job_id == job_id, TABLE.c.sort == "eval").order_by(TABLE.c.step.desc())
        with self.database.read() as connection:
            return list(map(_metric_of, connection.execute(query.limit(most))))[::-1]

    def _insert_metrics(self, connection: Connection, job_id: str, attempt: int, metrics: Sequence[Metric]) -> None:
        """Add rows, in a transaction that has seen that the attempt owns the job."""
        rows = [
            {"job_id": job_id, "attempt": attempt, "sort": one.sort, "step": one.step, "at": one.at, "body": one.values}
            for one in metrics
        ]
        if rows:
            connection.execute(self._upsert, rows)

    @cached_property
    def _upsert(self) -> Any:
        dialect = sqlite if self.database.is_sqlite else postgresql
        row = dialect.insert(TABLE)
        changed = {name: row.excluded[name] for name in ("attempt", "at", "body")}
        return row.on_conflict_do_update(index_elements=["job_id", "sort", "step"], set_=changed)


def _metric_of(row: Row[Any]) -> Metric:
    return Metric(sort=row.sort, step=row.step, at=row.at, values=row.body)
