"""What a worker's machine can run, as it reports it, and what that makes of `auto`. Without torch: the page asks too.

How it is found out is in `core.llm.abilities`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import BadInput
from core.precision import Precision
from core.values import Value
from core.variant import AUTO, Attention, Variant


class Abilities(Value):
    """Per name of a precision or an attention: why it does not run there; "" where it does."""

    device: str
    precisions: dict[str, str]
    attentions: dict[str, str]
    auto_precision: Precision
    compute_dtype: str
    """Of quantized weights, and of all that is not packed beside them."""
    notes: tuple[str, ...] = ()

    def why_not(self, variant: Variant) -> str:
        """Why a variant cannot run there; "" where it can."""
        precision = self.precisions.get(variant.dtype, "") if variant.dtype != AUTO else ""
        return precision or self.attentions.get(variant.attn_implementation, "")


@dataclass(frozen=True, slots=True)
class Choice:
    """How a model is loaded, nothing left open but the attention of a class that lacks the best one."""

    precision: Precision
    attention: str
    compute_dtype: str
    threshold: float
    may_fall_back: bool = False
    """Whether eager attention is taken where the model's class has no other."""


def usual_abilities(device: str, memory_kind: str) -> Abilities:
    """What nearly every machine can, for when none has reported yet."""
    on_card = memory_kind == "gpu"
    return Abilities(
        device=device,
        precisions={},
        attentions={},
        auto_precision=Precision.BFLOAT16 if on_card else Precision.FLOAT32,
        compute_dtype="bfloat16",
    )


def choose(variant: Variant, abilities: Abilities, attentions: Sequence[str] = ()) -> Choice:
    """The precision and attention for a variant on such a machine.

    Args:
        attentions: what the model's class has, where that is known: auto takes the best of them that runs.

    Raises:
        BadInput: it cannot run there.
    """
    if why := abilities.why_not(variant):
        raise BadInput(refusal(variant, why))
    precision = abilities.auto_precision if variant.dtype == AUTO else Precision(variant.dtype)
    is_auto = variant.attn_implementation == AUTO
    attention = _best(abilities, attentions) if is_auto else variant.attn_implementation
    kept_as = abilities.compute_dtype if precision.is_quantized else str(precision)
    return Choice(precision, attention, kept_as, variant.llm_int8_threshold, may_fall_back=is_auto)


def check_can_run(variants: Sequence[Variant], known: Sequence[Abilities]) -> None:
    """Refuse variants of which none of the workers that have reported can run one; where none has, nothing is refused.

    Raises:
        BadInput: with the reason that the form shows too.
    """
    reasons = [abilities.why_not(variant) for abilities in known for variant in variants]
    if reasons and all(reasons):
        raise BadInput(refusal(variants[0], reasons[0]))


def why_nowhere(known: Sequence[Abilities]) -> dict[str, str]:
    """Per name of a precision or an attention that no worker can run: why. Empty where none has reported."""
    per_worker = [one.precisions | one.attentions for one in known]
    names = {name for reasons in per_worker for name in reasons}
    cannot = {name: [reasons.get(name, "") for reasons in per_worker] for name in names}
    return {name: reasons[0] for name, reasons in cannot.items() if all(reasons)}


def refusal(variant: Variant, why: str) -> str:
    """The sentence for a variant that cannot run."""
    what = variant.dtype if variant.attn_implementation == AUTO else f"{variant.dtype}, {variant.attn_implementation}"
    return f"{what} cannot run here: {why}."


def _best(abilities: Abilities, attentions: Sequence[str]) -> str:
    for one in (Attention.FLASH_3, Attention.FLASH_2, Attention.SDPA):
        runs = abilities.attentions.get(one, "" if one is Attention.SDPA else "unknown") == ""
        if runs and (not attentions or one in attentions):
            return one.value
    return Attention.EAGER.value
