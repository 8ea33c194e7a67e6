"""What reinforcement learning takes at most: the policy's training step, and the rewards that stay beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.catalog import resolve
from core.errors import WorkbenchError
from core.memory import Model
from core.memory.files import try_open_model
from core.memory.needs import Needs, needs_of
from core.precision import Precision
from core.training.plan import Plan, plan_for
from core.training.rlhf_fields import RlhfFields


def rlhf_plan(
    spec: RlhfFields,
    precision: Precision,
    model: Model | None,
    longest: int,
    home: Path,
    *,
    on_card: bool,
    has_fast_bfloat16: bool,
    usable_bytes: int,
) -> Plan:
    """Choose what the spec leaves open, with the rewards' models in memory all the while.

    The reference costs nothing: it is the policy with its adapter off. The peak is that of the step that learns, or of
    answering as many prompts at once, whichever is larger.

    Args:
        longest: tokens of a prompt with its answer.
        home: where the rewards' models are looked for; one that is not there counts nothing.
    """
    beside = sum(one.held_bytes + one.request_bytes for one in _needs(spec.reward_models, home, on_card=on_card))
    rows = spec.per_device_train_batch_size * (1 if spec.is_online else 2)  # dpo reads both answers at once
    made = plan_for(
        spec.model_copy(update={"per_device_train_batch_size": rows}),
        precision,
        longest,
        model,
        on_card=on_card,
        has_fast_bfloat16=has_fast_bfloat16,
        usable_bytes=max(usable_bytes - beside, 0),
        can_be_fused=False,
    )
    if not made.predicted_bytes or model is None:
        return made
    answering = 0
    if spec.is_online:
        needs = needs_of(model, precision, spec.attn_implementation, on_host=not on_card)
        answering = needs.held_bytes + needs.request_bytes + rows * longest * needs.token_bytes
    said = f"Its reward models take {beside / 1e9:.3g} GB beside it; the reference takes nothing."
    reasons = (*made.reasons, said) if beside else made.reasons
    return replace(made, predicted_bytes=max(made.predicted_bytes, answering) + beside, reasons=reasons)


def _needs(names: Sequence[str], home: Path, *, on_card: bool) -> list[Needs]:
    found = []
    for name in names:
        try:
            model = try_open_model(resolve(name, home).path)
        except WorkbenchError:
            continue
        if model is not None:
            precision = Precision.BFLOAT16 if on_card else Precision.FLOAT32
            found.append(needs_of(model, precision, "sdpa", on_host=not on_card))
    return found
