"""`merge`: an adapter becomes part of its base, checked against base + adapter before it is offered."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from core.comparison.merged import MergeAsked, MergeReport
from core.jobs.kind import Context, Kind, Queue, Result, shorten
from core.spec import Spec
from core.variant import ADVANCED, Variant

PROMPTS = ("What is gravity?", "List three uses of a paper clip.", "Write the opening line of a film review.")


class MergeSpec(Spec):
    """Which adapter is merged into which base, in what dtype, and on what the merged model is checked."""

    adapter: str = Field(
        min_length=1, max_length=500, description="A LoRA adapter: the id of one that a job made, a folder, a Hub name"
    )
    model: str = Field(
        "", max_length=500, description="The base, unquantized; empty: the one that the adapter was trained on"
    )
    revision: str | None = Field(
        None, max_length=200, description="Branch, tag or commit of a base of the Hub", json_schema_extra=ADVANCED
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="What the merged weights are rounded to, once, from float32; auto: what the base's files are "
        "stored in. float32 loses nothing and takes twice the disk",
    )
    prompts: tuple[Annotated[str, Field(min_length=1, max_length=20_000)], ...] = Field(
        PROMPTS,
        min_length=1,
        max_length=16,
        description="What base + adapter and the merged model both answer",
        json_schema_extra={"flag": "prompt", **ADVANCED},
    )
    max_new_tokens: int = Field(32, ge=1, le=1024, description="Tokens of each answer", json_schema_extra=ADVANCED)
    eval_text: str = Field(
        "editorials",
        min_length=1,
        max_length=1000,
        description="What both are compared on: editorials, reviews, or a file on the worker's machine",
        json_schema_extra=ADVANCED,
    )
    eval_own: str = Field(
        "", max_length=400_000, description="Text of your own instead of that", json_schema_extra=ADVANCED
    )
    eval_tokens: int = Field(1024, ge=16, le=1_000_000, description="How much of it", json_schema_extra=ADVANCED)
    window: int = Field(256, ge=16, le=32_768, description="Tokens that are read together", json_schema_extra=ADVANCED)
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Of the intervals' resampling", json_schema_extra=ADVANCED)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if blank := [number for number, prompt in enumerate(self.prompts, 1) if not prompt.strip()]:
            raise ValueError(f"Prompt {blank[0]} is empty: write what the models should answer.")
        return self

    @property
    def loads(self) -> tuple[Variant, ...]:
        """What the check has in memory, one after another: in float32 where that fits. A base not named is unknown."""
        names = ("float32", "bfloat16", "float16") if self.model else ()
        return tuple(Variant(self.model, self.revision, dtype) for dtype in names)


class MergeResult(MergeReport, Result):
    """What was merged, and whether it is what base + adapter were."""


def run(spec: MergeSpec, context: Context) -> MergeResult:
    """Merge and check; stopped, nothing is left but the figures by then.

    Raises:
        AdapterMismatch: adapter and base do not go together, or it is of a sort that cannot be merged.
        MergeCheckFailed: the merged model is not what base + adapter were; its figures are kept, its files are not.
        ModelError: adapter or base is not here, or its files are of no use.
        DiskFull: there is no room for it.
        OutOfMemory: the base fits in no precision, so that nothing could be checked.
    """
    from core.llm.merge_run import Merging

    asked = MergeAsked(**spec.model_dump())
    merging = Merging(asked, context, context.machine().usable_bytes, lambda report: context.keep(_result(report)))
    return _result(merging.run())


def _result(report: MergeReport) -> MergeResult:
    return MergeResult(**dict(report))


def _title(spec: MergeSpec) -> str:
    adapter, base = (name.rstrip("/").rpartition("/")[2] for name in (spec.adapter, spec.model))
    return shorten(f"merge {adapter} into {base or 'its base'}")


KIND = Kind(
    name="merge",
    queue=Queue.BATCH,
    spec=MergeSpec,
    result=MergeResult,
    run=run,
    title=_title,
    words=lambda spec: f"{spec.adapter} {spec.model}",
    model=lambda spec: spec.model,
    variants=lambda spec: spec.loads,
    tokens=lambda spec: spec.window if spec.model else 0,
    help="Make one model of a base and its adapter, checked against the two",
)
