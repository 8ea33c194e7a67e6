"""What other tools get wrong, in sentences, and which precision to take.

A precision that does not shrink a model is never recommended for its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from core.memory.fit import Verdict
from core.memory.formula import number, size
from core.memory.shapes import Table
from core.memory.stored import Packing, why_not
from core.memory.tensors import Kind
from core.memory.training import Training
from core.memory.weights import rule_of_thumb, weights_bytes
from core.precision import Precision

SHRINKS_BELOW = 0.9  # of the size in 16 bit: a saving of less than a tenth is not worth the loss of quality and speed
IN_WORDS = {Verdict.FITS: "fits", Verdict.TIGHT: "fits tightly"}
BEST_FIRST = (Precision.BFLOAT16, Precision.INT8, Precision.NF4, Precision.NF4_DQ)  # by quality


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A precision with the reason for it; None where none fits."""

    precision: Precision | None
    reason: str


def shrinks(table: Table, precision: Precision) -> bool:
    """Whether a quantized precision makes a model noticeably smaller than 16 bit."""
    return weights_bytes(table, precision) < SHRINKS_BELOW * weights_bytes(table, Precision.BFLOAT16)


def recommend(table: Table, verdicts: Mapping[Precision, Verdict], packing: Packing | None = None) -> Recommendation:
    """The best precision for a card, by the verdict of each there.

    Packing costs quality, so the widest that fits wins, before those that are tight; a packed one that does not shrink
    the model is left out.
    """
    useful = [one for one in BEST_FIRST if one in verdicts and not why_not(packing, one)]
    useful = [one for one in useful if not one.is_quantized or shrinks(table, one)]
    for wanted in (Verdict.FITS, Verdict.TIGHT):
        if chosen := next((one for one in useful if verdicts[one] is wanted), None):
            return Recommendation(chosen, f"the widest precision that {IN_WORDS[wanted]}")
    if not any(shrinks(table, one) for one in BEST_FIRST if one.is_quantized):
        return Recommendation(None, "it does not fit, and bitsandbytes does not shrink this model")
    return Recommendation(None, "it fits in no precision")


def notes_of(
    table: Table, packing: Packing | None, precision: Precision, context: int, training: Training | None
) -> tuple[str, ...]:
    """What a person should know about an estimate."""
    return tuple(_notes(table, packing, precision, context, training))


def _notes(
    table: Table, packing: Packing | None, precision: Precision, context: int, training: Training | None
) -> Iterator[str]:
    if why := why_not(packing, precision):
        yield f"{precision} does not apply: {why}."
    if precision.is_quantized:
        yield from _unshrunk(table, precision)
    trained = table.config.optional("max_position_embeddings") if table.config else None
    if trained and context > trained:
        yield f"The model was made for {trained:,} tokens; {context:,} are beyond that."
    if table.caches is None:
        yield "The cache a token is unknown for this model type and is not counted."
    if training and not _is_llama_like(table):
        yield "Activations are reckoned as for Llama's layers, from which this model's differ: an upper bound."


def _unshrunk(table: Table, precision: Precision) -> Iterator[str]:
    whole = weights_bytes(table, precision)
    for kind, what in (
        (Kind.FUSED_EXPERT, "The experts are fused into one tensor a layer, which bitsandbytes leaves as they are"),
        (
            Kind.LINEAR_SUBCLASS,
            "Its linear layers are of a class of their own, which bitsandbytes passes over silently",
        ),
    ):
        if n := table.count(kind):
            yield f"{what}: {size(2 * n)} of {size(whole)} stay in 16 bit."
    if not shrinks(table, precision):
        yield f"{precision} does not shrink this model: {size(whole)} against {size(2 * table.parameters)} in 16 bit."
    if n := table.count(Kind.EMBEDDING):
        yield f"Embeddings and head stay in 16 bit: {number(n)} numbers, {size(2 * n)}."
    folklore = rule_of_thumb(table, precision).n_bytes
    if whole > 1.05 * folklore:
        yield f"The rule of thumb says {size(folklore)}; the exact figure is {whole / folklore:.2f} times that."


def _is_llama_like(table: Table) -> bool:
    names = [one.name for one in table.tensors]
    return not table.count(Kind.FUSED_EXPERT) and any("gate" in name for name in names) and _has_only_attention(table)


def _has_only_attention(table: Table) -> bool:
    return all(layer.kind in ("full attention", "sliding window") for layer in table.caches or ())
