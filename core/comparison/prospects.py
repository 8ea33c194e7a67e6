"""What is known of variants before anything is loaded: which run here, which fit, which is the reference.

Without torch. Predictions are `core.memory`'s; what a variant really takes is measured in its own process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.abilities import Abilities, Choice, choose
from core.catalog import resolve
from core.errors import WorkbenchError
from core.memory import Model, Work, estimate_work
from core.memory.files import try_open_model
from core.memory.formula import size
from core.memory.needs import Needs, needs_of
from core.memory.stored import why_not
from core.precision import Precision
from core.variant import Variant

PROMPT_TOKENS = 16
"""Before the tokens that are timed."""
SCORING_BYTES = 100_000_000
"""A few tokens' log-probabilities at a time, in double precision (`core.llm.quality`)."""


@dataclass(frozen=True)
class Prospect:
    """One variant as far as can be told; `why_not` says why it is not measured. `needs` None: nobody knows."""

    name: str
    variant: Variant
    choice: Choice | None = None
    needs: Needs | None = None
    why_not: str = ""
    peak_bytes: int = 0
    """The most that it will take at any size that is measured; 0: nobody knows."""

    @property
    def held_bytes(self) -> int:
        """What it holds between two measurements; 0: nobody knows."""
        return self.needs.held_bytes if self.needs else 0


@dataclass(frozen=True)
class Sizes:
    """What is done with each variant: prompts read at once, rows decoded together, a text scored."""

    contexts: tuple[int, ...]
    batches: tuple[int, ...]
    n_tokens: int
    window: int


def prospects(
    names: Sequence[str],
    variants: Sequence[Variant],
    home: Path,
    abilities: Abilities,
    sizes: Sizes,
    *,
    usable_bytes: int,
    on_host: bool,
) -> tuple[Prospect, ...]:
    """Each variant held against what this machine can run, and against its memory."""
    found = []
    for name, variant in zip(names, variants, strict=True):
        one, model = _prospect(name, variant, home, abilities, on_host)
        one = _held_against(one, usable_bytes)
        if model and one.needs and not one.why_not:
            peaks = [n for n in _peaks(model, one, sizes, on_host) if n <= usable_bytes]  # what exceeds it is not tried
            one = replace(one, peak_bytes=max(one.needs.load_bytes, *peaks))
        found.append(one)
    return tuple(found)


def usual_reference(found: Sequence[Prospect]) -> str:
    """The most precise one that can be measured, the first of several; "" where none can."""
    possible = [one for one in found if not one.why_not and one.choice]
    if not possible:
        return ""
    precisions = list(Precision)
    return min(possible, key=lambda one: precisions.index(one.choice.precision) if one.choice else 99).name


def _prospect(
    name: str, variant: Variant, home: Path, abilities: Abilities, on_host: bool
) -> tuple[Prospect, Model | None]:
    try:
        source = resolve(variant.model, home, variant.revision)
        model = try_open_model(source.path)
        choice = choose(variant, abilities, model.attentions if model else ())
    except WorkbenchError as error:
        return Prospect(name, variant, why_not=error.message.rstrip(".")), None
    if model is None:
        return Prospect(name, variant, choice), None
    if choice.attention not in model.attentions:
        why = f"{model.table.model_type} has no {choice.attention} attention"
        return Prospect(name, variant, choice, why_not=why), model
    needs = needs_of(model, choice.precision, choice.attention, on_host=on_host)
    packed = why_not(model.packing, choice.precision) if choice.precision.is_quantized else ""
    return Prospect(name, variant, choice, needs, packed), model


def _held_against(one: Prospect, usable_bytes: int) -> Prospect:
    least = one.needs.whole_bytes(1) if one.needs else 0
    if one.why_not or least <= usable_bytes:
        return one
    return replace(one, why_not=f"it needs {size(least)}, and {size(usable_bytes)} can be used here")


def _peaks(model: Model, one: Prospect, sizes: Sizes, on_host: bool) -> Iterator[int]:
    """The predicted peak of each thing that is done with it."""
    assert one.choice
    precision, attention = one.choice.precision, one.choice.attention
    asked = [(n, 1) for n in sizes.contexts] + [(PROMPT_TOKENS + sizes.n_tokens, batch) for batch in sizes.batches]
    for context, batch in asked:
        yield estimate_work(model, Work(precision, context, batch, attention, on_host=on_host)).total_bytes
    scored = estimate_work(model, Work(precision, sizes.window, 1, attention, on_host=on_host)).total_bytes
    logits = sizes.window * model.widths.vocab * precision.element_bytes if model.widths else 0
    yield scored + logits + SCORING_BYTES
