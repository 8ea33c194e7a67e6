"""What a pipeline says of itself while it goes on and when it has ended."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from core.states import State
from core.values import ArtifactRef, Trouble, Value


class StepState(StrEnum):
    """Where a step stands: `waiting` for what it needs, and then where its job stands."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_stuck(self) -> bool:
        """Whether it has ended without what the next ones need."""
        return self in (StepState.FAILED, StepState.CANCELLED)

    @property
    def is_active(self) -> bool:
        """Whether its job may still do something."""
        return self in (StepState.QUEUED, StepState.RUNNING, StepState.HELD)


class StepReport(Value):
    """One step by now. `round` counts how often it was begun anew; a step that was taken over belongs to another."""

    name: str
    kind: str
    needs: tuple[str, ...] = ()
    round: int = 1
    job_id: str = ""
    state: StepState = StepState.WAITING
    is_reused: bool = False
    resume_from: str = ""
    """The checkpoint from which it goes on when it begins anew."""
    headline: str = ""
    artifacts: tuple[ArtifactRef, ...] = ()
    seconds: float | None = None
    trouble: Trouble | None = None


class Answered(Value):
    """One held-out prompt with its answer at each stage; "" where a stage was not asked."""

    prompt: str
    completions: tuple[str, ...]


class Answers(Value):
    """The same prompts answered after every stage."""

    stages: tuple[str, ...] = ()
    rows: tuple[Answered, ...] = ()


class Offer(Value):
    """What can be done next with what was made: `way` is playground, compare or export."""

    way: str
    text: str
    target: str
    """The id of an artifact, or of a job."""
    asked: dict[str, str] = Field(default_factory=dict)
    """The model, and the adapter on it, that the Playground is to open with."""


class PipelineReport(Value):
    """The whole: a headline, its steps, the table of answers and what comes next."""

    text: str = ""
    steps: tuple[StepReport, ...] = ()
    answers: Answers = Answers()
    next: tuple[Offer, ...] = ()

    def step(self, name: str) -> StepReport | None:
        """The step of that name."""
        return next((step for step in self.steps if step.name == name), None)


def state_of(state: State) -> StepState:
    """The state of a step whose job is in that state."""
    return StepState(state.value)
