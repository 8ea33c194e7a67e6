"""`reward`: a sequence classifier from labelled rows, or a reward model from preferences, over any base with a head."""

from __future__ import annotations

from core.abilities import Choice
from core.jobs.kind import Context, Kind, Machine, Queue, Result, last_part, shorten
from core.memory.model import Model
from core.training.plan import plan_for
from core.training.reward_fields import RewardFields
from core.training.reward_presets import REWARD_PRESETS
from core.training.reward_values import RewardReport


class RewardSpec(RewardFields):
    """Which model learns to score texts, from which rows; the words are those of TRL and PEFT."""


class RewardResult(RewardReport, Result):
    """What a run of `reward` says of itself."""


def run(spec: RewardSpec, context: Context) -> RewardResult:
    """Train, keep the reward merged, and prove it from its files; stopped, with a checkpoint to go on from.

    Raises:
        BadInput: the data, the layers that are named or the machine do not allow it.
        NotAClassifier: the base is of a type that gets no head.
        OutOfMemory: the longest rows do not fit.
        NotANumber: the loss is none any more.
    """
    from core.llm.training.rewarding import Rewarding

    return Rewarding(spec, context, RewardResult).run()


def peak_for(spec: RewardSpec, model: Model, choice: Choice, machine: Machine) -> int:
    """What it takes at most where rows are as long as they may be; 0 where nobody knows."""
    return plan_for(
        spec,
        choice.precision,
        spec.max_length,
        model,
        on_card=machine.memory_kind != "host",
        has_fast_bfloat16=machine.abilities.compute_dtype == "bfloat16",
        usable_bytes=machine.usable_bytes,
        can_be_fused=False,
    ).predicted_bytes


KIND = Kind(
    name="reward",
    queue=Queue.BATCH,
    spec=RewardSpec,
    result=RewardResult,
    run=run,
    title=lambda spec: shorten(f"reward: {last_part(spec.model)} on {last_part(spec.data)}"),
    words=lambda spec: " ".join((spec.model, spec.data)),
    artifacts=lambda spec: (spec.resume_from,) if spec.resume_from else (),
    peak=peak_for,
    tokens=lambda spec: spec.rows_at_once * spec.max_length,
    can_pause=True,
    presets=REWARD_PRESETS,
    help="Make a classifier of labels or a reward model of preferences, proven by loading it again",
)
