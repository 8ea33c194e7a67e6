"""What a model is to do, and the parts of memory that this takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import BadInput
from core.memory.cache import held_by_windows, kv_part
from core.memory.family import EAGER
from core.memory.formula import Part
from core.memory.loading import host_part
from core.memory.model import Model
from core.memory.stored import stored_part, why_not
from core.memory.training import Training, check_method, training_parts
from core.memory.weights import weight_parts
from core.memory.working import heap_part, logits_part, prefill_part
from core.precision import Precision

MOST_CONTEXT, MOST_BATCH = 2**24, 2**16


@dataclass(frozen=True, slots=True)
class Work:
    """Generating, or a training, at one size.

    Args:
        precision: how the weights are kept.
        context: tokens a row, prompt and answer together; the prompt is reckoned to be all of it.
        batch: rows at once.
        attention: an implementation that the model's class has.
        training: how it is trained; None for generating.
        framework_bytes: the share of CUDA context and libraries, as measured on that card with that build.
        on_host: it runs on the CPU, in the process's own memory.
    """

    precision: Precision
    context: int
    batch: int
    attention: str
    training: Training | None = None
    framework_bytes: int = 0
    on_host: bool = False


def check_work(model: Model, work: Work) -> None:
    """Refuse what cannot be had of this model.

    Raises:
        BadInput: with what is wrong.
    """
    for name, value, most in (("context", work.context, MOST_CONTEXT), ("batch", work.batch, MOST_BATCH)):
        if not 1 <= value <= most:
            raise BadInput(f"{name} must lie between 1 and {most:,}, not {value:,}.")
    if work.attention not in model.attentions:
        has = ", ".join(model.attentions)
        raise BadInput(f"{model.table.model_type} has no {work.attention!r} attention.", f"It has {has}.")
    if work.training:
        check_method(work.training, work.precision)
        if model.widths is None:
            raise BadInput("config.json lacks the widths that training is reckoned from.")


def best_attention(model: Model) -> str:
    """The best implementation that needs nothing installed."""
    return "sdpa" if "sdpa" in model.attentions else EAGER


def parts_of(model: Model, work: Work) -> tuple[Part, ...]:
    """All that is held at the largest moment of some work."""
    found = [*held_weights(model, work.precision), *_beside_weights(model, work)]
    if work.on_host:
        n_layers = model.widths.layers if model.widths else 0
        found += [heap_part(found, work.precision, n_layers), host_part(model.table)]
    if work.framework_bytes:
        found.append(Part("framework", work.framework_bytes, "as measured", "measured once a card and build"))
    return tuple(found)


def held_weights(model: Model, precision: Precision) -> tuple[Part, ...]:
    """The weights as they are held: a checkpoint that is only used as it is stored stays so, whatever is asked."""
    if model.packing and not precision.is_quantized and why_not(model.packing, precision):
        stored = stored_part(model.table, model.packing)
        return (stored,) if stored else weight_parts(model.table, precision)
    return weight_parts(model.table, precision)


def _beside_weights(model: Model, work: Work) -> Iterator[Part]:
    if work.training and model.widths:
        yield from training_parts(
            model.table, model.widths, work.precision, work.training, work.context, work.batch, work.attention
        )
    elif not work.training:
        yield from _generating(model, work)


def _generating(model: Model, work: Work) -> Iterator[Part]:
    each = work.precision.element_bytes
    yield kv_part(model.table, work.context, work.batch, each)
    held = held_by_windows(model.table, work.context, work.batch, each)
    if held.n_bytes:
        yield held
    if model.widths:
        yield prefill_part(
            model.table, model.widths, work.precision, work.context, work.batch, work.attention, on_host=work.on_host
        )
        yield logits_part(model.widths, work.precision, work.batch)
