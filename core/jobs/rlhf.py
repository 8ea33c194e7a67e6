"""`rlhf`: an adapter learns what is rewarded (RLOO, GRPO), or what is preferred (DPO), watched for tricks."""

from __future__ import annotations

from core.abilities import Choice
from core.data.spec import ChatFields
from core.ids import is_id
from core.jobs.kind import Context, Kind, Machine, Queue, Result, last_part, shorten
from core.memory.model import Model
from core.training.rlhf_fields import RlhfFields
from core.training.rlhf_plan import rlhf_plan
from core.training.rlhf_values import RlhfResult as Values


class RlhfSpec(RlhfFields, ChatFields):
    """Which model learns to please which rewards on which prompts, and how far it may go; the words are TRL's."""


class RlhfResult(Values, Result):
    """What a run of `rlhf` says of itself."""


def run(spec: RlhfSpec, context: Context) -> RlhfResult:
    """Train, keep the adapter, and say what changed; stopped, with a checkpoint to go on from.

    Raises:
        BadInput: the data, a reward or the machine do not allow it.
        NotAClassifier: a reward is none.
        OutOfMemory: the answers do not fit.
        NotANumber: a reward or the loss is none.
    """
    from core.llm.training.reinforcing import Reinforcing

    return Reinforcing(spec, context, RlhfResult).run()


def peak_for(spec: RlhfSpec, model: Model, choice: Choice, machine: Machine) -> int:
    """What it takes at most where prompts and answers are as long as they may be; 0 where nobody knows."""
    longest = spec.max_prompt_length + spec.max_completion_length if spec.is_online else spec.max_length
    return rlhf_plan(
        spec,
        choice.precision,
        model,
        longest,
        machine.home,
        on_card=machine.memory_kind != "host",
        has_fast_bfloat16=machine.abilities.compute_dtype == "bfloat16",
        usable_bytes=machine.usable_bytes,
    ).predicted_bytes


def _artifacts(spec: RlhfSpec) -> tuple[str, ...]:
    return tuple(one for one in (spec.resume_from, *spec.reward_models) if is_id(one))


KIND = Kind(
    name="rlhf",
    queue=Queue.BATCH,
    spec=RlhfSpec,
    result=RlhfResult,
    run=run,
    title=lambda spec: shorten(f"{last_part(spec.model)} by {spec.algorithm}, {', '.join(spec.rewards)}"),
    words=lambda spec: " ".join((spec.model, spec.data, spec.algorithm, *spec.rewards, *spec.prompts)),
    artifacts=_artifacts,
    peak=peak_for,
    tokens=lambda spec: spec.per_device_train_batch_size * (spec.max_prompt_length + spec.max_completion_length),
    can_pause=True,
    help="Teach a model by rewards (RLOO, GRPO) or preferences (DPO), with guards against tricks",
)
