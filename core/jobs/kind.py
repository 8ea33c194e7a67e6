"""What a kind of job is, and all that its `run` sees of the world."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from core.spec import Spec
from core.values import ArtifactKind, Measurement, Progress, Sample

if TYPE_CHECKING:
    from core.llm.engine import Engine
    from core.llm.measure import Peak


class Queue(StrEnum):
    """Which side of a worker runs it: many at once over resident models, or one alone in a fresh process."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class Result(BaseModel):
    """A job's typed return value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Context(Protocol):
    """A running attempt's only door to the store, the stream and the models.

    Each method that writes raises `Fenced` once the attempt no longer owns the job.
    """

    job_id: str
    attempt: int
    home: Path

    def should_stop(self) -> bool:
        """Whether the run is asked to end now and return what it has."""

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` as soon as the run is asked to end; at once where it already is."""

    def progress(self, progress: Progress) -> None:
        """Say how far the job is."""

    def token(self, text: str) -> None:
        """Stream a piece of text to whoever watches."""

    def sample(self, sample: Sample) -> None:
        """Keep an output."""

    def measurement(self, measurement: Measurement) -> None:
        """Keep a measured quantity."""

    def artifact(self, kind: ArtifactKind, name: str) -> AbstractContextManager[Path]:
        """A folder to fill; when the `with` block ends, its files are an artifact of the job."""

    def engine(self, model: str) -> Engine:
        """The resident engine of a model, loaded first where need be."""

    def memory(self) -> AbstractContextManager[Peak]:
        """Measures the peak memory of this process's device inside the `with` block."""


S = TypeVar("S", bound=Spec)
R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Kind(Generic[S, R]):
    """A type of work.

    Attributes:
        title: the job's name until its owner gives it one, at most 80 characters.
        words: what a search finds the job by, beside its title.
        check: refuses, before anything is queued, what only the files in `home` can tell to be impossible.
        run: does the work. It returns early with what it has once `Context.should_stop` holds.
    """

    name: str
    queue: Queue
    spec: type[S]
    result: type[R]
    run: Callable[[S, Context], R]
    title: Callable[[S], str]
    words: Callable[[S], str] = lambda spec: ""
    model: Callable[[S], str] = lambda spec: ""
    check: Callable[[S, Path], None] = lambda spec, home: None
    help: str = ""


AnyKind = Kind[Any, Any]


def shorten(text: str, limit: int = 80) -> str:
    """The first words of `text` on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
