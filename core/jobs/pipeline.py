"""`pipeline`: jobs in the order that their references make, each handing on what it made. No worker runs it.

Its row is there from its submission to its end; whoever ends the job of a step submits the next (`core.pipelining`).
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from core.jobs.kind import Context, Kind, Result, shorten
from core.pipeline.presets import PRESETS
from core.pipeline.steps import MOST_STEPS, Step, check_order
from core.pipeline.values import PipelineReport
from core.spec import Spec
from core.variant import ADVANCED

NAME = "pipeline"


class PipelineSpec(Spec):
    """Which jobs, in which order: a step begins as soon as all that it names by @NAME have succeeded."""

    steps: tuple[Step, ...] = Field(
        min_length=1, max_length=MOST_STEPS, description="The steps, each with its name, kind and fields"
    )
    fresh_from: str = Field(
        "",
        max_length=40,
        description="Run this step and all that depend on it anew; others are taken over from earlier runs where "
        "nothing that they depend on has changed",
        json_schema_extra=ADVANCED,
    )

    @model_validator(mode="after")
    def _can_begin(self) -> Self:
        check_order(self.steps)
        names = [step.name for step in self.steps]
        if self.fresh_from and self.fresh_from not in names:
            raise ValueError(f"fresh_from: there is no step {self.fresh_from}; there are {', '.join(names)}.")
        return self


class PipelineResult(PipelineReport, Result):
    """What came of the steps by now, and of the whole."""


def run(spec: PipelineSpec, context: Context) -> PipelineResult:
    """Never: no worker claims a pipeline."""
    raise NotImplementedError(f"{context.job_id} with {len(spec.steps)} steps is run step by step.")


KIND = Kind(
    name=NAME,
    queue=None,
    spec=PipelineSpec,
    result=PipelineResult,
    run=run,
    title=lambda spec: shorten(" → ".join(step.name for step in spec.steps)),
    words=lambda spec: " ".join(f"{step.kind} {step.fields.get('model', '')}" for step in spec.steps),
    presets=PRESETS,
    help="Hand what one job made on to the next: sft → merge → reward → rlhf → compare",
)
