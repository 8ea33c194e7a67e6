"""What a pipeline's steps and their jobs amount to, without touching either."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from core.pipeline.steps import Step
from core.pipeline.values import Answered, Answers, Offer, PipelineReport, StepReport, StepState, state_of
from core.training.values import Try
from core.values import ArtifactKind, ArtifactRef, Job, Trouble

HANDED_ON = ("model", "adapter", "reward", "reward_model", "dataset")
"""Kinds of artifacts that a reference may mean, the first that a step has."""
BASE = "base"
DELETED = Trouble(code="cancelled", message="its job was deleted.")
TELLING = ("rlhf", "sft")
"""Kinds whose headline is that of the whole, the first that has one."""


def report(steps: Sequence[Step], before: PipelineReport, jobs: Mapping[str, Job]) -> PipelineReport:
    """How a pipeline stands.

    Args:
        before: the last report; it says which round of a step counts and which jobs were taken over.
        jobs: by name of the step, the job of the round that counts.
    """
    found = tuple(_step(step, before.step(step.name), jobs.get(step.name)) for step in steps)
    reports = tuple(one if one.name in jobs else _without_job(one, found) for one in found)
    return PipelineReport(
        text=_headline(reports), steps=reports, answers=answers(steps, jobs), next=tuple(_offers(reports, jobs))
    )


def handed_on(artifacts: Sequence[ArtifactRef]) -> ArtifactRef | None:
    """What a reference to a step means of all that it made."""
    ranked = [one for one in artifacts if one.kind.value in HANDED_ON]
    return min(ranked, key=lambda one: HANDED_ON.index(one.kind.value)) if ranked else None


def taken_over(step: StepReport, job: Job) -> StepReport:
    """A step that an earlier job has done already."""
    return _with_job(step.model_copy(update={"is_reused": True}), job)


def _step(step: Step, before: StepReport | None, job: Job | None) -> StepReport:
    known = before or StepReport(name=step.name, kind=step.kind)
    blank = known.model_copy(update={"kind": step.kind, "needs": step.needs})
    return blank if job is None else _with_job(blank, job)


def _with_job(step: StepReport, job: Job) -> StepReport:
    took_s = job.finished_at - job.started_at if job.finished_at and job.started_at else None
    return step.model_copy(
        update={
            "job_id": job.id,
            "state": state_of(job.state),
            "headline": str((job.result or {}).get("text", "")),
            "artifacts": job.artifacts,
            "seconds": took_s,
            "trouble": job.error,
        }
    )


def _without_job(one: StepReport, everything: Sequence[StepReport]) -> StepReport:
    """A step whose job was deleted counts as cancelled while it was under way; one that had succeeded is done again
    where somebody still needs what it made."""
    if not one.job_id or one.state.is_stuck:
        return one
    if one.state.is_active:
        return one.model_copy(update={"state": StepState.CANCELLED, "trouble": DELETED})
    is_used_up = all(other.state is StepState.SUCCEEDED for other in everything if one.name in other.needs)
    return one if is_used_up else StepReport(name=one.name, kind=one.kind, needs=one.needs, round=one.round)


def answers(steps: Sequence[Step], jobs: Mapping[str, Job]) -> Answers:
    """The table: what each training step said at its beginning and at its end, its beginning under the name of what
    it began with."""
    stages: dict[str, dict[str, str]] = {}
    for step in steps:
        tries = _tries(jobs.get(step.name))
        if tries:
            begun_with = next(iter(Step(name=step.name, kind=step.kind, fields=_model(step)).needs), BASE)
            stages.setdefault(begun_with, _at(tries, min(one.step for one in tries)))
            stages.setdefault(step.name, _at(tries, max(one.step for one in tries)))
    prompts = dict.fromkeys(prompt for said in stages.values() for prompt in said)
    rows = (Answered(prompt=one, completions=tuple(said.get(one, "") for said in stages.values())) for one in prompts)
    return Answers(stages=tuple(stages), rows=tuple(rows))


def _model(step: Step) -> dict[str, Any]:
    return {"model": step.fields.get("model", "")}


def _tries(job: Job | None) -> tuple[Try, ...]:
    try:
        raw = (job.result or {}).get("tries", ()) if job else ()
        return tuple(Try.model_validate(one) for one in raw)
    except (ValidationError, TypeError):
        return ()


def _at(tries: Sequence[Try], step: int) -> dict[str, str]:
    return {one.prompt: one.completion for one in tries if one.step == step}


def _headline(steps: Sequence[StepReport]) -> str:
    done = [step for step in steps if step.state is StepState.SUCCEEDED]
    if len(done) < len(steps):
        return f"{len(done)} of {len(steps)} steps are done."
    ranked = [step.headline for kind in TELLING for step in reversed(done) if step.kind == kind and step.headline]
    return ranked[0] if ranked else done[-1].headline or f"All {len(done)} steps are done."


def _offers(steps: Sequence[StepReport], jobs: Mapping[str, Job]) -> Iterator[Offer]:
    done = [step for step in steps if step.state is StepState.SUCCEEDED]
    made = [(step, one) for step in done if (one := handed_on(step.artifacts)) and one.kind in _MODELS]
    if made:
        step, last = made[-1]
        base = jobs[step.name].model if step.name in jobs else ""
        asked = {"model": last.id} if last.kind is ArtifactKind.MODEL else {"model": base, "adapter": last.id}
        yield Offer(way="playground", text=f"Try what {step.name} made in the Playground", target=last.id, asked=asked)
        yield Offer(way="export", text=f"Take the {last.kind.value} that {step.name} made along", target=last.id)
    for step in done:
        if step.kind == "compare":
            yield Offer(way="compare", text=f"Read what {step.name} found side by side", target=step.job_id)


_MODELS = (ArtifactKind.MODEL, ArtifactKind.ADAPTER)
