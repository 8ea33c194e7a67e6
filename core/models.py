"""The tables. Times are Unix seconds by the database's clock; ids are ULIDs, which sort by time."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from core.ids import ID_LENGTH

Id = String(ID_LENGTH)
Word = String(100)
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function that it is
    """Unix seconds by the database's clock, so that leases need no agreement between hosts."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"  # unixepoch('subsec') needs SQLite 3.42


@compiles(now, "postgresql")
def _now_postgresql(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


class Base(DeclarativeBase):
    """Every table, with constraints that migrations can name."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {str: Word, dict[str, Any]: Json, float: Float(53)}


class JobRow(Base):
    """One request: the outbox of the queue and the record of what became of it."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str]
    queue: Mapped[str]
    state: Mapped[str]
    owner: Mapped[str]
    visibility: Mapped[str]
    priority: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(200), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    model: Mapped[str] = mapped_column(String(500), default="")
    words: Mapped[str] = mapped_column(Text, default="")
    spec: Mapped[dict[str, Any]]
    key: Mapped[str | None]
    parent: Mapped[str | None] = mapped_column(Id)
    retry_of: Mapped[str | None] = mapped_column(Id)
    attempt: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_until: Mapped[float | None]
    cancel_requested_at: Mapped[float | None]
    pause_requested_at: Mapped[float | None]
    progress: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    load_key: Mapped[str] = mapped_column(Text, default="")
    work_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    waiting_reason: Mapped[str] = mapped_column(Text, default="")
    pipeline_id: Mapped[str | None] = mapped_column(Id)
    step: Mapped[str | None]
    round: Mapped[int | None]
    fingerprint: Mapped[str | None]
    source: Mapped[str | None]
    expected_at: Mapped[float | None]
    expected_from: Mapped[float | None]
    """When it was said that it would start at `expected_at`, the first time that anybody was told."""

    __table_args__ = (
        UniqueConstraint("owner", "key"),
        Index(None, "pipeline_id", "step", "round", unique=True),
        Index(None, "owner", "fingerprint"),
        Index(None, "queue", "state", "priority", "owner", "id"),
        Index(None, "state", "lease_until"),
        Index(None, "owner", "id"),
        Index(None, "owner", "state"),
        Index(None, "source", "state"),
        Index(None, "owner", "finished_at"),
        Index(None, "kind", "state", "id"),
        Index(None, "expected_at"),
        Index(None, "parent"),
    )


class TurnRow(Base):
    """The number of the claim that last took a job of this owner: the owner with the lowest is next."""

    __tablename__ = "turns"

    queue: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)


class AttemptRow(Base):
    """One execution of a job by one worker."""

    __tablename__ = "attempts"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str]
    device: Mapped[str] = mapped_column(default="")
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    outcome: Mapped[str | None]
    traceback: Mapped[str | None] = mapped_column(Text)


class EventRow(Base):
    """One appended fact about a job."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[float]
    kind: Mapped[str]
    attempt: Mapped[int]
    data: Mapped[dict[str, Any]]


class MeasurementRow(Base):
    """A measured quantity of one attempt."""

    __tablename__ = "measurements"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(Id)
    attempt: Mapped[int]
    name: Mapped[str]
    value: Mapped[float]
    unit: Mapped[str]
    n: Mapped[int]
    spread: Mapped[float | None]
    predicted: Mapped[float | None]

    __table_args__ = (
        ForeignKeyConstraint(["job_id", "attempt"], ["attempts.job_id", "attempts.attempt"], ondelete="CASCADE"),
        Index(None, "job_id"),
    )


class MetricRow(Base):
    """The values that a training run logged at one step, of one sort: training, evaluation, or the machine."""

    __tablename__ = "metrics"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    sort: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    at: Mapped[float]
    body: Mapped[dict[str, Any]]


class SampleRow(Base):
    """What was asked and what came: a row of its own, so that people can vote on it."""

    __tablename__ = "samples"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(Id)
    attempt: Mapped[int]
    body: Mapped[dict[str, Any]]

    __table_args__ = (
        ForeignKeyConstraint(["job_id", "attempt"], ["attempts.job_id", "attempts.attempt"], ondelete="CASCADE"),
        Index(None, "job_id"),
    )


class ArtifactRow(Base):
    """Files that a job made, in the artifacts' folder under the artifact's id."""

    __tablename__ = "artifacts"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    attempt: Mapped[int]
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(String(200))
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[float]


class WorkerRow(Base):
    """A living worker process, what it takes and what it runs on. Gone with its lease."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(index=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    memory_kind: Mapped[str]
    memory_total: Mapped[float]
    memory_free: Mapped[float]
    slots: Mapped[int]
    started_at: Mapped[float]
    lease_until: Mapped[float]
    card: Mapped[str] = mapped_column(default="")
    place: Mapped[str] = mapped_column(default="")
    abilities: Mapped[dict[str, Any] | None]
    is_drain_requested: Mapped[bool] = mapped_column(default=False)


class HoldingRow(Base):
    """Memory of a card that one process holds: a resident model, one that loads, or a job in a process of its own.

    The process writes all of it but the last two columns, which are wishes of others.
    """

    __tablename__ = "holdings"

    worker: Mapped[str] = mapped_column(ForeignKey("workers.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(800), primary_key=True)
    card: Mapped[str] = mapped_column(index=True)
    model: Mapped[str] = mapped_column(String(500))
    revision: Mapped[str | None] = mapped_column(String(200))
    precision: Mapped[str]
    attention: Mapped[str]
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    work_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    is_loading: Mapped[bool]
    users: Mapped[list[Any]] = mapped_column(Json)
    used_at: Mapped[float]
    is_pinned: Mapped[bool] = mapped_column(default=False)
    is_release_requested: Mapped[bool] = mapped_column(default=False)


class ModelRow(Base):
    """A model that lies where a worker can load it. `place` is a home on a host, which several workers may share."""

    __tablename__ = "models"

    place: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(500), primary_key=True)
    revision: Mapped[str] = mapped_column(String(200), primary_key=True, default="")
    body: Mapped[dict[str, Any]]
    reported_at: Mapped[float]


class UserRow(Base):
    """Somebody who may sign in. A name that was removed stays taken: its jobs must not fall to somebody else."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    password: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[float]
    removed_at: Mapped[float | None]


class SessionRow(Base):
    """A browser that is signed in. The id is a keyed hash of what its cookie says, which nobody can read back."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    agent: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[float]
    used_at: Mapped[float]
    expires_at: Mapped[float]


class LinkRow(Base):
    """A link by which somebody sets a password, once. The id is a keyed hash, as of a session."""

    __tablename__ = "links"

    id: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    expires_at: Mapped[float]
