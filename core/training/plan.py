"""What `auto` means for a training on one machine, and why. Without torch: the page asks too."""

from __future__ import annotations

from dataclasses import dataclass

from core.memory import Model, estimate
from core.precision import Precision
from core.training.fields import TrainFields

SMALL_VOCABULARY = 70_000
PLENTY = 0.6  # of what may be used: below it nothing is computed twice to save memory


@dataclass(frozen=True, slots=True)
class Plan:
    """How a training runs on a machine.

    Attributes:
        mixed: what is computed in 16 bit beside weights that stay as they are; "" for nothing.
        has_checkpointing: whether activations are computed a second time instead of being kept.
        is_fused: TRL's head and loss tile by tile; else the model's own loss over all logits at once.
        predicted_bytes: peak memory; 0 where nobody knows.
        reasons: a sentence for each choice.
    """

    mixed: str
    has_checkpointing: bool
    is_fused: bool
    predicted_bytes: int
    reasons: tuple[str, ...]


def plan_for(
    spec: TrainFields,
    precision: Precision,
    max_length: int,
    model: Model | None,
    *,
    on_card: bool,
    has_fast_bfloat16: bool,
    usable_bytes: int,
    can_be_fused: bool = True,
) -> Plan:
    """Choose what the spec leaves open.

    Args:
        precision: how the base is kept.
        max_length: tokens of the longest row.
        model: as the estimate sees it; None where its files do not say enough.
        usable_bytes: what the job may use.
        can_be_fused: whether the trainer has a loss in tiles.
    """
    mixed, why_mixed = _mixed(spec, on_card=on_card, has_fast_bfloat16=has_fast_bfloat16)

    def predicted(*, has_checkpointing: bool, is_fused: bool) -> int:
        if model is None or model.widths is None:
            return 0
        training = spec.training(
            precision,
            has_checkpointing=has_checkpointing,
            float32_adapter=not precision.is_quantized,
            is_autocast=bool(mixed),
            loss="fused" if is_fused else "plain",
        )
        given = {"context": max_length, "batch": spec.rows_at_once, "training": training}
        return estimate(model, precision=precision, on_host=not on_card, **given).needed_bytes  # type: ignore[arg-type]

    is_fused, why_fused = _fused(model, on_card=on_card) if can_be_fused else (False, "")
    has_checkpointing, why = spec.gradient_checkpointing == "on", ""
    if spec.gradient_checkpointing == "auto":
        kept = predicted(has_checkpointing=False, is_fused=is_fused)
        has_checkpointing = kept > PLENTY * usable_bytes if kept else on_card
        why = _why_checkpointing(kept, usable_bytes, has_checkpointing)
    needed = predicted(has_checkpointing=has_checkpointing, is_fused=is_fused)
    if can_be_fused and on_card and not is_fused and needed > PLENTY * usable_bytes:
        tiled = predicted(has_checkpointing=has_checkpointing, is_fused=True)
        why_fused = f"Computes the loss in tiles: all logits at once would take {(needed - tiled) / 1e9:.3g} GB more."
        is_fused, needed = True, tiled
    return Plan(mixed, has_checkpointing, is_fused, needed, tuple(filter(None, (why_mixed, why_fused, why))))


def _mixed(spec: TrainFields, *, on_card: bool, has_fast_bfloat16: bool) -> tuple[str, str]:
    if spec.mixed_precision != "auto":
        return ("" if spec.mixed_precision == "off" else spec.mixed_precision), ""
    if not on_card:
        return "", ""
    if has_fast_bfloat16:
        return "bf16", "Computes in bfloat16, which this card is fast at."
    return "fp16", "This card has no fast bfloat16: computes in float16 with scaled losses, adapters stay in float32."


def _fused(model: Model | None, *, on_card: bool) -> tuple[bool, str]:
    """Tiles pay where a large vocabulary makes large logits on a card; elsewhere they only cost time."""
    vocabulary = model.widths.vocab if model and model.widths else 0
    if on_card and (not vocabulary or vocabulary > SMALL_VOCABULARY):
        return True, f"Computes the loss in tiles: {vocabulary:,} words would make large logits." if vocabulary else ""
    return False, "Computes the loss over all logits at once, which is faster here than TRL's tiles."


def _why_checkpointing(kept: int, usable: int, has_checkpointing: bool) -> str:
    if not kept:
        return ""
    if has_checkpointing:
        return f"Computes activations twice: kept, all would take {kept / 1e9:.3g} GB of {usable / 1e9:.3g} GB."
    return f"Keeps activations: all takes {kept / 1e9:.3g} GB of {usable / 1e9:.3g} GB."
