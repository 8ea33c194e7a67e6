"""A pipeline as fragments: its headline and what comes next, its steps in their order, and the answers after each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlencode

from pydantic import ValidationError

from core.jobs.pipeline import NAME
from core.pipeline.report import handed_on
from core.pipeline.values import PipelineReport, StepReport, StepState
from core.states import State
from core.values import Job
from web.format import written
from web.templates import fragment
from web.train_view import Step
from web.words import CHIPS, Chip

KIND = NAME
WAITING = Chip("·", "waiting", "")
REUSED = Chip("✓", "taken over", "good")


def report_of(job: Job) -> PipelineReport | None:
    """What a pipeline says of itself by now; None where it says nothing that this version reads."""
    if job.kind != KIND or not job.result:
        return None
    known = {name: value for name, value in job.result.items() if name in PipelineReport.model_fields}
    try:
        return PipelineReport.model_validate(known)
    except ValidationError:
        return None


def now_sentence(job: Job) -> str:
    """What a pipeline that is held waits for."""
    if job.error:
        return "Held: nothing further begins until the step below is run again. Resume does so."
    return "Paused: no further step begins until it is resumed."


def can_pause(job: Job) -> bool:
    """Whether it can be held: as long as something of it may still begin."""
    return job.state is State.RUNNING


def render_said(job: Job) -> str:
    """The headline, and what to do next."""
    found = report_of(job)
    if found is None:
        return ""
    return fragment("train_said", headline=found.text, steps=_next(job, found))


def render_parts(job: Job) -> dict[str, str]:
    """The fragments below the headline."""
    found = report_of(job)
    return {"pipeline": _rendered(found.model_dump_json()) if found else ""}


@lru_cache(maxsize=32)
def _rendered(text: str) -> str:
    found = PipelineReport.model_validate_json(text)
    levels = [[(step, chip_of(step)) for step in level] for level in levels_of(found.steps)]
    rows = [(step, chip_of(step), handed_on(step.artifacts)) for step in found.steps]
    return fragment("pipeline", levels=levels, rows=rows, answers=found.answers, written=written)


def levels_of(steps: Sequence[StepReport]) -> list[list[StepReport]]:
    """The steps from left to right: each stands behind all that it needs."""
    depth: dict[str, int] = {}
    while len(depth) < len(steps):
        ready = [one for one in steps if one.name not in depth and all(name in depth for name in one.needs)]
        if not ready:  # a result of another version: show what is left in one row
            ready = [one for one in steps if one.name not in depth]
        depth |= {one.name: 1 + max((depth.get(name, 0) for name in one.needs), default=0) for one in ready}
    return [[one for one in steps if depth[one.name] == level] for level in sorted(set(depth.values()))]


def chip_of(step: StepReport) -> Chip:
    """The state of a step."""
    if step.is_reused:
        return REUSED
    return WAITING if step.state is StepState.WAITING else CHIPS[State(step.state.value)]


def _next(job: Job, found: PipelineReport) -> list[Step]:
    if not job.state.is_finished and not job.error:
        return []
    ways = {one.way: one for one in found.next} if job.state.is_finished else {}
    steps = []
    if one := ways.get("playground"):
        steps.append(Step("Try it in the Playground", f"/?{urlencode(one.asked)}", is_main=True))
    if one := ways.get("compare"):
        steps.append(Step("Read the comparison", f"/runs?{urlencode({'job': one.target})}"))
    if one := ways.get("export"):
        steps.append(Step("See what was made", f"/artifacts?{urlencode({'id': one.target})}"))
    steps.append(Step("Change and start again", f"/pipelines?{urlencode({'like': job.id})}"))
    return steps
