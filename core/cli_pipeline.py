"""Pipelines on a terminal: their steps and the answers after each, as tables."""

from __future__ import annotations

from collections.abc import Iterator

from core.cli_format import table
from core.cli_train import ResultPrinter
from core.format import written
from core.pipeline.values import PipelineReport, StepReport, StepState


def _lines(found: PipelineReport, indent: int) -> Iterator[str]:
    yield found.text
    yield table(("STEP", "KIND", "STATE", "TIME", "WHAT CAME OF IT"), map(_row, found.steps), ("TIME",), indent)
    if found.answers.rows:
        heads = ("PROMPT", *(stage.upper() for stage in found.answers.stages))
        yield table(heads, ((one.prompt, *one.completions) for one in found.answers.rows), (), indent)
    for offer in found.next:
        yield f"{offer.text}: {offer.target}"


def _row(step: StepReport) -> tuple[str, ...]:
    state = "taken over" if step.is_reused else str(step.state)
    took = written(step.seconds, "s") if step.seconds is not None else ""
    return step.name, step.kind, state, took, step.trouble.message if step.trouble else step.headline


def _news(before: PipelineReport | None, now: PipelineReport) -> Iterator[str]:
    for step in now.steps:
        known = before.step(step.name) if before else None
        if step.state is StepState.WAITING or (known and known.state is step.state):
            continue
        name, kind, state, took, said = _row(step)
        what = name if name == kind else f"{name} ({kind})"
        is_done = step.state is StepState.SUCCEEDED
        yield " · ".join(filter(None, (what, state, took, said) if is_done else (what, state)))


PIPELINE = ResultPrinter(PipelineReport, _lines, _news)
