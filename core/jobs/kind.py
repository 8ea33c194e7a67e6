"""What a kind of job is, and all that its `run` sees of the world."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from core.abilities import Abilities, Choice
from core.memory.model import Model
from core.preset import Preset
from core.spec import Spec
from core.values import ArtifactKind, Measurement, Metric, Progress, Sample
from core.variant import ModelSpec, Variant

if TYPE_CHECKING:
    from core.llm.measure import Peak
    from core.llm.resident import Resident


class Queue(StrEnum):
    """Which side of a worker runs it: many at once over resident models, or one alone in a fresh process."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class Door(StrEnum):
    """What a kind of job opens to whoever may submit it. The mode keeps some of them shut."""

    PROMPTS = "prompts"
    TRAINING = "training"
    MODELS = "models"
    DATA = "data"
    MACHINE = "machine"
    """What all share, and administrators alone may change."""


class Result(BaseModel):
    """A job's typed return value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a job may use where it runs: `usable_bytes` of the device's memory, what others hold of it left out."""

    abilities: Abilities
    memory_kind: str
    usable_bytes: int
    home: Path
    """Where its models are looked for."""


class Context(Protocol):
    """A running attempt's only door to the store, the stream and the models.

    Each method that writes raises `Fenced` once the attempt no longer owns the job.
    """

    job_id: str
    attempt: int
    home: Path
    trusted_code: str
    """The administrator's list of models whose own code may run."""

    def should_stop(self) -> bool:
        """Whether the run is asked to end now and return what it has."""

    def whole(self) -> None:
        """Say that all is done that was asked for: what is returned now is the result, though a pause was asked for."""

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

    def metric(self, metric: Metric) -> None:
        """Keep what a training run logged at a step; a step that is done again replaces what was there."""

    def flush(self) -> None:
        """Write what is kept by now: a checkpoint must not know more than the curves."""

    def event(self, kind: str, **data: Any) -> None:
        """Append a fact to the job's history, which its log tells in words."""

    def rewind(self, step: int) -> None:
        """Forget what was logged after `step`: the run goes on from there."""

    def keep(self, result: Result) -> None:
        """Keep what is known of the result by now: it is shown, and stays if the job is stopped or its worker lost."""

    def restored(self) -> dict[str, Any] | None:
        """What earlier attempts kept of the result; None in the first."""

    def scratch(self) -> Path:
        """A folder on this machine for what only this job needs; later attempts find it, and it goes with the job."""

    def machine(self) -> Machine:
        """What this job may use."""

    def artifact(self, kind: ArtifactKind, name: str) -> AbstractContextManager[Path]:
        """A folder to fill; when the `with` block ends, its files are an artifact of the job."""

    def open(self, artifact_id: str) -> Path:
        """The folder of an artifact on this machine, whether or not it is there."""

    def resident(self, variant: Variant) -> Resident:
        """The model in memory, loaded first where need be; it stays while the job runs."""

    def pin(self, variant: Variant) -> None:
        """Keep a resident model when another needs the room."""

    def models_changed(self) -> None:
        """Say that models have come or gone on this machine: they are looked for again and reported."""

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
        artifacts: the ids of those that it reads by id alone; whoever may not see one may not use it.
        check: refuses, before anything is queued, what only the files in `home` can tell to be impossible.
        variants: the models that it needs in memory, one at a time; those that do not run or fit where it runs are
            for the job to leave out, as long as one does.
        peak: the bytes at its largest moment, weights included, for work that is no generating; 0 where nobody knows.
        tokens: how many tokens it keeps in memory at once, at most.
        queue: None for what no worker runs: a pipeline, whose steps are jobs.
        door: what it opens; unless a kind says otherwise it stays shut for strangers.
        can_pause: whether it can be held while it runs and go on later, with what it has.
        presets: jobs of this kind to begin with.
        run: does the work. It returns early with what it has once `Context.should_stop` holds.
    """

    name: str
    queue: Queue | None
    spec: type[S]
    result: type[R]
    run: Callable[[S, Context], R]
    title: Callable[[S], str]
    words: Callable[[S], str] = lambda spec: ""
    model: Callable[[S], str] = lambda spec: spec.model if isinstance(spec, ModelSpec) else ""
    variants: Callable[[S], tuple[Variant, ...]] = lambda spec: (spec.variant,) if isinstance(spec, ModelSpec) else ()
    peak: Callable[[S, Model, Choice, Machine], int] | None = None
    tokens: Callable[[S], int] = lambda spec: 0
    artifacts: Callable[[S], tuple[str, ...]] = lambda spec: ()
    check: Callable[[S, Path], None] = lambda spec, home: None
    door: Door = Door.TRAINING
    can_pause: bool = False
    presets: tuple[Preset, ...] = ()
    help: str = ""


AnyKind = Kind[Any, Any]


def shorten(text: str, limit: int = 80) -> str:
    """The first words of `text` on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def last_part(name: str) -> str:
    """What stands behind the last slash of a Hub name or a path."""
    return name.rstrip("/").rpartition("/")[2]
