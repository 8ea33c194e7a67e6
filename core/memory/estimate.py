"""The estimate: what a model needs in one precision, at one context and batch, for one kind of work.

Without torch, from config.json, or from the files' headers where the type is not described. Every figure carries its
formula; what was measured is compared elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.errors import BadConfig, BadInput
from core.memory import fit as fitting
from core.memory.advice import notes_of
from core.memory.cache import held_by_windows, kv_bytes_per_token, kv_part
from core.memory.family import EAGER
from core.memory.formula import Part
from core.memory.geometry import Geometry, geometry
from core.memory.headers import Stored, table_of
from core.memory.precision import Precision
from core.memory.shapes import Table, is_known, read_shapes
from core.memory.stored import Packing, packing_of, stored_part, why_not
from core.memory.training import Training, check_method, training_parts
from core.memory.weights import allocated_weights_bytes, load_transient, rule_of_thumb, weight_parts, weights_bytes
from core.memory.working import logits_part, prefill_part

MOST_CONTEXT, MOST_BATCH = 2**24, 2**16
SHOWN = (Precision.FLOAT32, Precision.BFLOAT16, Precision.INT8, Precision.NF4, Precision.NF4_DQ)


@dataclass(frozen=True)
class Model:
    """A model as far as its memory goes: its table, its widths and how its checkpoint is packed."""

    table: Table
    widths: Geometry | None
    packing: Packing | None

    @property
    def attentions(self) -> tuple[str, ...]:
        """The attention implementations that its class has."""
        return self.table.attentions

    @property
    def trained_context(self) -> int | None:
        """The longest context that it was trained for, as config.json says."""
        config = self.table.config
        return config.optional("max_position_embeddings") if config else None


def read_model(config: Mapping[str, Any], stored: Iterable[Stored] | None = None) -> Model:
    """Read a config.json; `stored`, the files' headers, is needed for types that are not described.

    Raises:
        BadConfig: a number in it is none or beyond all reason, or the type is unknown and there are no headers.
    """
    try:
        table = read_shapes(config) if stored is None or is_known(config) else table_of(config, stored)
        return Model(table, geometry(table), packing_of(config))
    except RecursionError as error:
        raise BadConfig("config.json is nested too deeply.") from error


@dataclass(frozen=True)
class Estimate:
    """What is needed, part by part.

    Args:
        model: what was estimated.
        precision, context, batch, attention, training: for what.
        parts: what is held at the largest moment; they add up to `total_bytes`.
        load: what loading needs beyond the weights.
        notes: what a person should know, in sentences.
    """

    model: Model
    precision: Precision
    context: int
    batch: int
    attention: str
    training: Training | None
    framework_bytes: int
    parts: tuple[Part, ...]
    load: Part
    notes: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        """All parts together: the peak of the work."""
        return sum(one.n_bytes for one in self.parts)

    @property
    def load_peak_bytes(self) -> int:
        """The peak while the weights are loaded."""
        return weights_bytes(self.model.table, self.precision) + self.load.n_bytes + self.framework_bytes

    @property
    def needed_bytes(self) -> int:
        """The larger of both peaks: what must be free."""
        return max(self.total_bytes, self.load_peak_bytes)

    def fit(self, usable_bytes: int) -> fitting.Fit:
        """Whether it fits into so many bytes."""
        return fitting.judge(self.needed_bytes, usable_bytes, self.framework_bytes)

    def as_json(self) -> dict[str, Any]:
        """As a program reads it."""
        table, packing = self.model.table, self.model.packing
        stored = stored_part(table, packing) if packing else None
        return {
            "model_type": table.model_type,
            "parameters": table.parameters,
            "source": table.source,
            "weights_bytes": {str(one): weights_bytes(table, one) for one in Precision},
            "not_applicable": {str(one): why for one in Precision if (why := why_not(packing, one))},
            "as_stored": stored.as_json() if stored else None,
            "kv_cache_bytes_per_token": kv_bytes_per_token(table, self.precision.element_bytes),
            "precision": str(self.precision),
            "context": self.context,
            "batch": self.batch,
            "attention": self.attention,
            "attentions": list(table.attentions),
            "parts": [one.as_json() for one in self.parts],
            "load": self.load.as_json(),
            "weights_allocated_bytes": allocated_weights_bytes(table, self.precision),
            "rule_of_thumb": rule_of_thumb(table, self.precision).as_json(),
            "total_bytes": self.total_bytes,
            "load_peak_bytes": self.load_peak_bytes,
            "needed_bytes": self.needed_bytes,
            "notes": list(self.notes),
        }


def estimate(
    config: Mapping[str, Any] | Model,
    *,
    precision: Precision = Precision.BFLOAT16,
    context: int = 4096,
    batch: int = 1,
    attention: str = "auto",
    training: Training | None = None,
    framework_bytes: int = 0,
) -> Estimate:
    """Predict the memory that a model needs.

    Args:
        config: config.json as an object, or what `read_model` made of it.
        precision: how the weights are kept.
        context: tokens a row, prompt and answer together, 1 to 2^24; the prompt is reckoned to be all of it.
        batch: rows at once, 1 to 65,536.
        attention: an implementation that its class has; `auto` takes sdpa, else the last that it has without flash.
        training: how it is trained; None for generating.
        framework_bytes: the share of CUDA context and libraries, as measured on that card with that build.

    Raises:
        BadConfig: config.json describes no model that could exist.
        BadInput: what is asked cannot be had of this model.
    """
    model = config if isinstance(config, Model) else read_model(config)
    _check("context", context, MOST_CONTEXT)
    _check("batch", batch, MOST_BATCH)
    chosen = _attention(model, attention)
    if training:
        check_method(training, precision)
    parts = _parts(model, precision, context, batch, chosen, training, framework_bytes)
    return Estimate(
        model=model,
        precision=precision,
        context=context,
        batch=batch,
        attention=chosen,
        training=training,
        framework_bytes=framework_bytes,
        parts=parts,
        load=load_transient(model.table, precision),
        notes=notes_of(model.table, model.packing, precision, context, training),
    )


def largest_context(asked: Estimate, usable_bytes: int) -> int:
    """The longest context that still fits, all else as asked; 0 where none does."""
    return fitting.largest(lambda n: _fits(asked, usable_bytes, context=n), MOST_CONTEXT)


def largest_batch(asked: Estimate, usable_bytes: int) -> int:
    """The most rows at once that still fit, all else as asked; 0 where not even one does."""
    return fitting.largest(lambda n: _fits(asked, usable_bytes, batch=n), MOST_BATCH)


def _fits(asked: Estimate, usable_bytes: int, *, context: int = 0, batch: int = 0) -> bool:
    context, batch = context or asked.context, batch or asked.batch
    parts = _parts(asked.model, asked.precision, context, batch, asked.attention, asked.training, asked.framework_bytes)
    other = replace(asked, context=context, batch=batch, parts=parts)
    return other.fit(usable_bytes).verdict is not fitting.Verdict.EXCEEDS


def _parts(
    model: Model,
    precision: Precision,
    context: int,
    batch: int,
    attention: str,
    training: Training | None,
    framework_bytes: int,
) -> tuple[Part, ...]:
    found = [*weight_parts(model.table, precision)]
    if training:
        if model.widths is None:
            raise BadInput("config.json lacks the widths that training is reckoned from.")
        found += training_parts(model.table, model.widths, precision, training, context, batch, attention)
    else:
        found += _generating(model, precision, context, batch, attention)
    if framework_bytes:
        found.append(Part("framework", framework_bytes, "as measured", "measured once a card and build"))
    return tuple(found)


def _generating(model: Model, precision: Precision, context: int, batch: int, attention: str) -> list[Part]:
    each = precision.element_bytes
    found = [kv_part(model.table, context, batch, each)]
    held = held_by_windows(model.table, context, batch, each)
    found += [held] if held.n_bytes else []
    if model.widths:
        found.append(prefill_part(model.table, model.widths, precision, context, batch, attention))
        found.append(logits_part(model.widths, precision, batch))
    return found


def _attention(model: Model, asked: str) -> str:
    has = model.attentions
    if asked == "auto":
        return "sdpa" if "sdpa" in has else EAGER
    if asked not in has:
        raise BadInput(f"{model.table.model_type} has no {asked!r} attention.", f"It has {', '.join(has)}.")
    return asked


def _check(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise BadInput(f"{name} must lie between 1 and {most:,}, not {value:,}.")
