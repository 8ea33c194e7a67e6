"""`sft`: supervised fine-tuning of a causal language model, with LoRA over a dense or packed base, or in full."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from core.abilities import Choice
from core.data.spec import ChatFields
from core.jobs.kind import Context, Kind, Machine, Queue, Result, last_part, shorten
from core.memory.model import Model
from core.training.fields import TrainFields
from core.training.plan import plan_for
from core.training.presets import PRESETS
from core.training.values import TrainResult
from core.variant import ADVANCED


class SftSpec(TrainFields, ChatFields):
    """Which model learns which rows, and how; the words are those of TRL and PEFT."""

    max_length: int = Field(512, ge=2, le=1_048_576, description="Tokens of a row; the rest is cut off")
    packing: bool = Field(
        False, description="Join short rows up to max_length: no padding, faster on a card with flash attention"
    )
    completion_only_loss: bool | None = Field(
        None,
        description="Learn completions alone; empty: where rows have a prompt and a completion",
        json_schema_extra=ADVANCED,
    )
    assistant_only_loss: bool = Field(
        False, description="Learn the assistant's messages alone", json_schema_extra=ADVANCED
    )

    @model_validator(mode="after")
    def _has_something_to_evaluate(self) -> Self:
        if self.early_stopping_patience and not (self.eval_share and self.max_eval_rows):
            raise ValueError("early_stopping_patience needs held-out rows: give eval_share and max_eval_rows.")
        return self


class SftResult(TrainResult, Result):
    """What a run of `sft` says of itself."""


def run(spec: SftSpec, context: Context) -> SftResult:
    """Train, keep the adapter or the model, and say what was learned; stopped, with a checkpoint to go on from.

    Raises:
        BadInput: the data, the layers that are named or the machine do not allow it.
        OutOfMemory: the longest rows do not fit.
        NotANumber: the loss is none any more.
    """
    from core.llm.training.run import Tuning

    return Tuning(spec, context, SftResult).run()


def peak_for(spec: SftSpec, model: Model, choice: Choice, machine: Machine) -> int:
    """What it takes at most where rows are as long as they may be; 0 where nobody knows."""
    return plan_for(
        spec,
        choice.precision,
        spec.max_length,
        model,
        on_card=machine.memory_kind != "host",
        has_fast_bfloat16=machine.abilities.compute_dtype == "bfloat16",
        usable_bytes=machine.usable_bytes,
    ).predicted_bytes


KIND = Kind(
    name="sft",
    queue=Queue.BATCH,
    spec=SftSpec,
    result=SftResult,
    run=run,
    title=lambda spec: shorten(f"{last_part(spec.model)} on {last_part(spec.data)}"),
    words=lambda spec: " ".join((spec.model, spec.data, *spec.prompts)),
    artifacts=lambda spec: (spec.resume_from,) if spec.resume_from else (),
    peak=peak_for,
    tokens=lambda spec: spec.per_device_train_batch_size * spec.max_length,
    can_pause=True,
    presets=PRESETS,
    help="Teach a model with LoRA, QLoRA or in full, watched live",
)
