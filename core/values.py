"""The small frozen values that cross every border: what was measured, said, made and went wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.states import State


class Value(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Value):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Measurement(Value):
    """A measured quantity with its unit, over `n` repeats; `spread` is their standard deviation.

    `predicted` is what was said before, where something was.
    """

    name: str
    value: float
    unit: str
    n: int = 1
    spread: float | None = None
    predicted: float | None = None


class MadeBy(Value):
    """What made an output, exactly enough to make it again."""

    model: str
    revision: str | None = None
    adapter: str | None = None
    precision: str
    device: str
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)


class Sample(Value):
    """What was asked, what came, and what made it."""

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    completion: str
    made_by: MadeBy


class Metric(Value):
    """What a training run logged after `step` steps, at Unix seconds `at`; `sort` is train, eval or machine."""

    step: int
    values: dict[str, float]
    sort: Literal["train", "eval", "machine"] = "train"
    at: float = 0.0


class Progress(Value):
    """How far a job is. `total` is None when nobody knows."""

    current: float = 0
    total: float | None = None
    message: str = ""
    eta_s: float | None = None


class Trouble(Value):
    """Why a job failed: a code for programs, a sentence and a hint for people."""

    code: str
    message: str
    hint: str = ""


class ArtifactKind(StrEnum):
    """What an artifact is."""

    REPORT = "report"
    MODEL = "model"
    ADAPTER = "adapter"
    REWARD = "reward"
    CHECKPOINT = "checkpoint"
    DATASET = "dataset"


class ArtifactRef(Value):
    """Files that a job made, reached by id and never by path."""

    id: str
    kind: ArtifactKind
    name: str
    n_bytes: int


class Visibility(StrEnum):
    """Who may see a job besides its owner."""

    TEAM = "team"
    PRIVATE = "private"


class Event(Value):
    """One appended fact about a job, ordered by `seq`."""

    seq: int
    at: float
    kind: str
    attempt: int
    data: dict[str, Any] = Field(default_factory=dict)


class Job(Value):
    """One request as the store holds it. Times are Unix seconds by the database's clock."""

    id: str
    kind: str
    queue: str
    state: State
    owner: str
    visibility: Visibility
    priority: int
    name: str
    note: str
    model: str
    spec: dict[str, Any]
    parent: str | None
    retry_of: str | None
    attempt: int
    is_cancel_requested: bool
    is_pause_requested: bool = False
    progress: Progress | None
    result: dict[str, Any] | None
    error: Trouble | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    worker: str | None
    waiting_reason: str = ""
    pipeline_id: str | None = None
    step: str | None = None
    """Its name in that pipeline."""
    round: int | None = None
    measurements: tuple[Measurement, ...] = ()
    samples: tuple[Sample, ...] = ()
    artifacts: tuple[ArtifactRef, ...] = ()


class Role(StrEnum):
    """What a model can be used for."""

    CAUSAL = "causal"
    CLASSIFIER = "sequence_classifier"
    ADAPTER = "adapter"
    OTHER = "other"


class Origin(StrEnum):
    """Where a model's files came from."""

    BUILTIN = "builtin"
    HUB = "hub"
    FOLDER = "folder"
    GGUF = "gguf"
    ARTIFACT = "artifact"


class ModelInfo(Value):
    """A model that lies on a worker's machine, as far as its files tell without being loaded.

    `stored_as` is the dtype or the quantizer of its files; `problem` says in a sentence why it cannot be loaded, and
    `way_out` names the kind of job that mends it.
    """

    name: str
    revision: str | None = None
    origin: Origin
    role: Role
    n_bytes: int
    model_type: str = ""
    architecture: str = ""
    parameters: int | None = None
    context_length: int | None = None
    stored_as: str = ""
    licence: str = ""
    has_chat_template: bool = False
    base: str = ""
    problem: str = ""
    way_out: str = ""
