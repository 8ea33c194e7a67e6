"""Rows of the tables as the values of `core.values`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, select

from core.models import ArtifactRow, JobRow, MeasurementRow, SampleRow
from core.values import ArtifactRef, Job, Measurement, Sample, Trouble, Visibility

_SAME_NAME = (
    "id", "kind", "queue", "state", "owner", "priority", "name", "note", "model", "spec", "parent", "retry_of",
    "attempt", "result", "created_at", "started_at", "finished_at", "worker", "waiting_reason",
    "pipeline_id", "step", "round",
)  # fmt: skip


def whole_jobs(connection: Connection, rows: Sequence[Row[Any]]) -> list[Job]:
    """Jobs with all that hangs on them, in the order of their rows."""
    ids = [row.id for row in rows]
    measurements = _hanging(connection, MeasurementRow, ids)
    samples = _hanging(connection, SampleRow, ids)
    artifacts = _hanging(connection, ArtifactRow, ids)
    return [job_of(row, measurements[row.id], samples[row.id], artifacts[row.id]) for row in rows]


def job_of(
    row: Row[Any], measurements: Sequence[Any] = (), samples: Sequence[Any] = (), artifacts: Sequence[Any] = ()
) -> Job:
    """One job from its row and the rows that hang on it."""
    return Job(
        **{name: getattr(row, name) for name in _SAME_NAME},
        visibility=Visibility(row.visibility),
        is_cancel_requested=row.cancel_requested_at is not None,
        is_pause_requested=row.pause_requested_at is not None,
        progress=row.progress,
        error=Trouble.model_validate(row.error) if row.error else None,
        measurements=tuple(
            Measurement(name=m.name, value=m.value, unit=m.unit, n=m.n, spread=m.spread, predicted=m.predicted)
            for m in measurements
        ),
        samples=tuple(Sample.model_validate(sample.body) for sample in samples),
        artifacts=tuple(ArtifactRef(id=a.id, kind=a.kind, name=a.name, n_bytes=a.n_bytes) for a in artifacts),
    )


def _hanging(connection: Connection, table: Any, ids: list[str]) -> dict[str, list[Any]]:
    """The rows of a table that belong to jobs, of each job's latest attempt alone, in the order they were written."""
    latest = and_(JobRow.id == table.job_id, JobRow.attempt == table.attempt)
    query = select(table.__table__).join(JobRow, latest).where(table.job_id.in_(ids)).order_by(table.id)
    found: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(query) if ids else ():
        found[row.job_id].append(row)
    return found
