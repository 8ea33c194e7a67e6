"""`compare`: what precision, attention or an adapter costs and gives, each variant measured the same way."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from core.catalog import BUILTIN_NAME
from core.comparison.values import Comparison
from core.comparison.variants import LADDER, MOST_VARIANTS, Asked, expand, names_of, read_variant
from core.errors import Fenced
from core.jobs.kind import Context, Door, Kind, Queue, Result, shorten
from core.precision import Precision, usual_name
from core.spec import Spec
from core.values import ArtifactKind
from core.variant import ADVANCED, Variant

Prompt = Annotated[str, Field(min_length=1, max_length=20_000)]
Length = Annotated[int, Field(ge=1, le=1_048_576)]
Batch = Annotated[int, Field(ge=1, le=256)]
LOG = logging.getLogger(__name__)
PROMPTS = ("Explain in two sentences why the sky is blue.", "List three uses of a paper clip.")


class CompareSpec(Spec):
    """Which variants of a model to compare, and how thoroughly. Each is measured alone, then their speeds in turns."""

    model: str = Field(
        BUILTIN_NAME,
        min_length=1,
        max_length=500,
        description="A Hub name, a folder, a GGUF file, or the id of a model that a job made",
    )
    revision: str | None = Field(
        None, max_length=200, description="Branch, tag or commit of a Hub model", json_schema_extra=ADVANCED
    )
    variants: tuple[Annotated[str, Field(min_length=1, max_length=1200)], ...] = Field(
        LADDER,
        min_length=1,
        description="Precisions such as bf16 or nf4, with +eager, +sdpa, +adapter=NAME or +threshold=N; or a set: "
        "ladder, attention, before-after",
    )
    reference: str = Field(
        "", max_length=200, description="What the others are held against; empty: the most precise one that runs here"
    )
    adapter: str = Field(
        "",
        max_length=500,
        description="For before-after: the adapter to set beside the base",
        json_schema_extra=ADVANCED,
    )
    merged: str = Field(
        "",
        max_length=500,
        description="For before-after: the merged model to set beside it",
        json_schema_extra=ADVANCED,
    )
    prompts: tuple[Prompt, ...] = Field(
        PROMPTS, max_length=16, description="What every variant answers", json_schema_extra={"flag": "prompt"}
    )
    mode: Literal["chat", "completion"] = Field(
        "chat", description="chat: the prompts are messages; completion: the beginnings of texts"
    )
    max_new_tokens: int = Field(32, ge=2, le=1024, description="Tokens of each answer, and of each timed decode")
    temperature: float = Field(
        0.8, gt=0, le=2, description="Of the sampled answers; the greedy ones take none", json_schema_extra=ADVANCED
    )
    eval_text: str = Field(
        "editorials",
        min_length=1,
        max_length=1000,
        description="What perplexity is measured on: editorials, reviews, a file of text, JSONL, CSV or Parquet "
        "on the worker's machine, the id of an upload, or a data set of the Hub",
    )
    eval_own: str = Field(
        "", max_length=400_000, description="Text of your own instead of that", json_schema_extra=ADVANCED
    )
    eval_tokens: int = Field(
        4096, ge=0, le=10_000_000, description="How much of it: 4,096 are 8 windows of 512; 0 takes all of it"
    )
    window: int = Field(
        512,
        ge=8,
        le=32_768,
        description="Tokens that are read together; the first of each is not scored",
        json_schema_extra=ADVANCED,
    )
    context_lengths: tuple[Length, ...] = Field(
        (128, 512, 1024),
        min_length=1,
        max_length=12,
        description="Prompt lengths for first token and memory",
        json_schema_extra=ADVANCED,
    )
    batch_sizes: tuple[Batch, ...] = Field(
        (1, 4), min_length=1, max_length=8, description="Rows that are decoded together", json_schema_extra=ADVANCED
    )
    repeats: int = Field(5, ge=1, le=50, description="How often each speed is taken", json_schema_extra=ADVANCED)
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Of the sampled answers", json_schema_extra=ADVANCED)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if len(self.variants) > MOST_VARIANTS:
            raise ValueError(f"At most {MOST_VARIANTS} variants can be compared at once, not {len(self.variants)}.")
        names = self.names
        if self.reference and self.reference not in names:
            raise ValueError(f"The reference {self.reference!r} is none of the variants: {', '.join(names)}.")
        if blank := [number for number, prompt in enumerate(self.prompts, 1) if not prompt.strip()]:
            raise ValueError(f"Prompt {blank[0]} is empty: write what the model should answer.")
        return self

    @property
    def asked(self) -> tuple[Asked, ...]:
        """The variants, read."""
        return tuple(read_variant(line) for line in self.variants)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each."""
        return names_of(self.asked)

    @property
    def loads(self) -> tuple[Variant, ...]:
        """What each loads."""
        return tuple(one.of(self.model, self.revision) for one in self.asked)

    @classmethod
    def understand(cls, fields: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The fields with sets of variants spelled out; a whole report stands for the spec in it."""
        mapped = _of_report(fields) if isinstance(fields.get("spec"), dict) else dict(fields)
        for word in [name for name in ("context_lengths", "batch_sizes") if isinstance(mapped.get(name), str | int)]:
            mapped[word] = [_number(one) for one in str(mapped[word]).split(",")]
        given = mapped.get("variants")
        lines = [given] if isinstance(given, str) else given
        if isinstance(lines, list | tuple) and all(isinstance(line, str) for line in lines):
            expanded = expand(lines, str(mapped.get("adapter") or ""), str(mapped.get("merged") or ""))
            asked = [read_variant(line) for line in expanded]
            mapped["variants"] = [one.text for one in asked]
            if (name := str(mapped.get("reference") or "")) and name not in [one.name for one in asked]:
                mapped["reference"] = _usual(name)
        return mapped, ()


class CompareResult(Comparison, Result):
    """The comparison."""


def run(spec: CompareSpec, context: Context) -> CompareResult:
    """Measure each variant alone, then their speeds in turns, and write the report; stopped, with what there is then.

    Raises:
        BadInput: none of the variants can run here.
    """
    from core.jobs.comparing import Comparing

    return _reported(spec, context, Comparing(spec, context).run())


def _reported(spec: CompareSpec, context: Context, found: CompareResult) -> CompareResult:
    """The comparison with its report kept; where that cannot be written it says so, and stands nevertheless."""
    from core.comparison.judge import measured
    from core.comparison.report import write_report

    if not measured(found):
        return found
    try:
        with context.artifact(ArtifactKind.REPORT, "comparison") as folder:
            write_report(folder, context.job_id, spec, found, time.time())
    except Fenced:
        raise
    except Exception as error:  # hours of measuring are worth more than their report
        LOG.exception("the report of job %s", context.job_id)
        why = getattr(error, "strerror", None) or error
        return found.model_copy(update={"notes": (*found.notes, f"The report could not be written: {why}.")})
    return found


def _of_report(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The spec that a report holds, with the fields that stand beside it in place of its own."""
    beside = {name: value for name, value in fields.items() if name in CompareSpec.model_fields}
    return dict(fields["spec"]) | beside


def _number(text: str) -> int | str:
    """What can be one; the rest is for the field to refuse."""
    return int(text) if text.strip().isdecimal() and len(text) < 12 else text


def _usual(name: str) -> str:
    """A reference as a variant is named: fp32 means float32; names of one's own stay."""
    return usual_name(name) if usual_name(name) in list(Precision) else name


KIND = Kind(
    name="compare",
    queue=Queue.BATCH,
    door=Door.PROMPTS,
    spec=CompareSpec,
    result=CompareResult,
    run=run,
    title=lambda spec: shorten(f"{spec.model.rstrip('/').rpartition('/')[2]}: {', '.join(spec.names)}"),
    words=lambda spec: " ".join((spec.model, *spec.prompts)),
    model=lambda spec: spec.model,
    variants=lambda spec: spec.loads,
    tokens=lambda spec: min(spec.context_lengths),
    help="Set precisions, attention implementations or adapters of one model side by side",
)
