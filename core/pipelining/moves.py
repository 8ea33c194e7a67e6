"""What follows from where a pipeline stands, and what others want of it: values alone, nothing is read or written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import BadInput
from core.jobs.pipeline import PipelineResult
from core.pipeline.steps import with_changes
from core.pipeline.values import PipelineReport, StepReport, StepState
from core.states import State
from core.store.pipelines import Move, SeenPipeline
from core.values import ArtifactKind, Progress, Trouble


def stuck(found: PipelineReport) -> list[StepReport]:
    """The steps that ended without what the next ones need."""
    return [step for step in found.steps if step.state.is_stuck]


def state_after(seen: SeenPipeline, found: PipelineReport) -> State:
    """Where the pipeline stands once its steps are as they were found."""
    is_active = any(step.state.is_active for step in found.steps)
    if seen.job.is_cancel_requested:
        return State.RUNNING if is_active else State.CANCELLED
    if seen.job.state is State.HELD or stuck(found):
        return State.HELD
    is_done = all(step.state is StepState.SUCCEEDED for step in found.steps)
    return State.SUCCEEDED if is_done else State.RUNNING


def trouble_of(found: PipelineReport) -> Trouble | None:
    """Of the first step that is stuck; None where somebody has paused the whole."""
    first = next(iter(stuck(found)), None)
    if first is None:
        return None
    known = first.trouble or Trouble(code="cancelled", message="it was cancelled.")
    hint = f"{known.hint} Resume runs {first.name} again, with other values if you give some.".strip()
    return Trouble(code=known.code, message=f"{first.name}: {known.message}", hint=hint)


def progress_of(found: PipelineReport) -> Progress:
    """How many steps are done, and what the others do."""
    words = {StepState.RUNNING: "runs", StepState.QUEUED: "waits in the queue", StepState.HELD: "is paused"}
    said = [f"{step.name} {words[step.state]}" for step in found.steps if step.state.is_active]
    done = sum(step.state is StepState.SUCCEEDED for step in found.steps)
    return Progress(current=done, total=len(found.steps), message=", ".join(said))


def result_of(found: PipelineReport) -> dict[str, Any]:
    """The report as a job's result is kept."""
    return PipelineResult(**dict(found)).model_dump(mode="json")


def as_it_is(seen: SeenPipeline, state: State, by: str, event: str) -> Move:
    """A move that changes the state alone."""
    result = seen.job.result or result_of(PipelineReport())
    facts = {"by": by}
    return Move(state=state, result=result, error=seen.job.error, by=by, event=event, facts=facts)


def changed_fields(
    spec: Mapping[str, Any], now: PipelineReport, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], frozenset[str]]:
    """The fields of the pipeline with other values, and the steps that have them."""
    names = frozenset(where.partition(".")[0] for where in changes)
    for step in now.steps:
        if step.name in names and step.state in (StepState.SUCCEEDED, StepState.RUNNING, StepState.QUEUED):
            way = f"`workbench restart PIPELINE --from {step.name}` runs it anew, in a new pipeline."
            raise BadInput(f"{step.name} is {step.state}: its fields can no longer be changed.", way)
    return {**spec, "steps": with_changes(spec["steps"], changes)}, names


def begun_again(step: StepReport, is_changed: bool) -> StepReport:
    """A step that begins anew: from its last checkpoint, where it has one and is asked the same."""
    checkpoint = next((one.id for one in step.artifacts if one.kind is ArtifactKind.CHECKPOINT), "")
    is_begun = step.state is not StepState.WAITING
    return StepReport(
        name=step.name,
        kind=step.kind,
        needs=step.needs,
        round=step.round + is_begun,
        resume_from="" if is_changed else checkpoint,
    )
