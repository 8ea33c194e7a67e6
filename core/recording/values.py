"""What a recording holds. A file of another version is refused, not guessed at."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from core.values import Event, Job, Metric, Value

VERSION = 1
NAMES = r"^[a-z0-9][a-z0-9-]{0,59}$"


class Words(StrEnum):
    """Where the times of a text come from."""

    STREAM = "stream"
    """The stream itself, as it was written."""
    RECONSTRUCTED = "reconstructed"
    """The measured speed: the stream was gone when the job was recorded."""


class Text(Value):
    """How a job's text came. A piece is (Unix seconds, how many characters of the text were there by then)."""

    words: Words
    pieces: tuple[tuple[float, int], ...]


class Tried(Value):
    """One execution of the job."""

    attempt: int
    device: str
    started_at: float
    ended_at: float | None
    outcome: str | None


class Machine(Value):
    """What the job ran on, as far as it is known: memory is of the device, in bytes."""

    device: str = ""
    memory_kind: str = ""
    memory_bytes: int | None = None
    cores: int | None = None
    system: str = ""
    versions: dict[str, str] = Field(default_factory=dict)


class RecordedJob(Value):
    """One job with all that the store had of it. `step` of the job is its name where it was one of a pipeline."""

    job: Job
    events: tuple[Event, ...] = ()
    attempts: tuple[Tried, ...] = ()
    metrics: tuple[Metric, ...] = ()
    text: Text | None = None


class Recording(Value):
    """One job, or a pipeline with those of its steps behind it.

    Attributes:
        name: what it is called in addresses and as a file.
        note: what whoever recorded it says of it.
        program: the version of this program, and `commit` the state of its source, where that is known.
    """

    version: int = VERSION
    name: str = Field(pattern=NAMES)
    title: str = Field(min_length=1, max_length=200)
    note: str = Field("", max_length=1000)
    recorded_at: float
    program: str
    commit: str = ""
    machine: Machine
    jobs: tuple[RecordedJob, ...] = Field(min_length=1)

    @property
    def whole(self) -> Job:
        """The job that was recorded."""
        return self.jobs[0].job

    @property
    def seconds(self) -> float:
        """How long it took, from its beginning."""
        return lasted(self.whole)

    def step(self, name: str) -> RecordedJob | None:
        """The job of a step; of "" the whole."""
        return next((one for one in self.jobs[1:] if one.job.step == name), None) if name else self.jobs[0]


def begun(job: Job) -> float:
    """When its replay begins: what it waited in a queue is left out."""
    return job.created_at if job.started_at is None else job.started_at


def lasted(job: Job) -> float:
    """Seconds from there to its end."""
    return max((job.finished_at or begun(job)) - begun(job), 0.0)
