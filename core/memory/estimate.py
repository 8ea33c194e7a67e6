"""The estimate: what a model needs in one precision, at one context and batch, for one kind of work.

Without torch, from config.json, or from the files' headers where the type is not described. Every figure carries its
formula; what was measured is compared elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.memory import fit as fitting
from core.memory.advice import notes_of
from core.memory.cache import kv_bytes_per_token
from core.memory.formula import Part
from core.memory.loading import load_part
from core.memory.model import Model, read_model
from core.memory.stored import stored_part, why_not
from core.memory.training import Training
from core.memory.weights import allocated_weights_bytes, rule_of_thumb, weights_bytes
from core.memory.work import MOST_BATCH, MOST_CONTEXT, Work, best_attention, check_work, held_weights, parts_of
from core.precision import Precision


@dataclass(frozen=True)
class Estimate:
    """What some work with a model needs: its parts, and what loading needs beyond the weights."""

    model: Model
    work: Work
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
        weights = sum(one.n_bytes for one in held_weights(self.model, self.work.precision))
        return weights + self.load.n_bytes + self.work.framework_bytes

    @property
    def needed_bytes(self) -> int:
        """The larger of both peaks: what must be free."""
        return max(self.total_bytes, self.load_peak_bytes)

    def fit(self, usable_bytes: int) -> fitting.Fit:
        """Whether it fits into so many bytes."""
        return fitting.judge(self.needed_bytes, usable_bytes, self.work.framework_bytes)

    def as_json(self) -> dict[str, Any]:
        """As a program reads it."""
        return {
            **_of_the_model(self.model, self.work.precision),
            "precision": str(self.work.precision),
            "context": self.work.context,
            "batch": self.work.batch,
            "attention": self.work.attention,
            "parts": [one.as_json() for one in self.parts],
            "load": self.load.as_json(),
            "total_bytes": self.total_bytes,
            "load_peak_bytes": self.load_peak_bytes,
            "needed_bytes": self.needed_bytes,
            "notes": list(self.notes),
        }


def _of_the_model(model: Model, precision: Precision) -> dict[str, Any]:
    table, packing = model.table, model.packing
    stored = stored_part(table, packing) if packing else None
    return {
        "model_type": table.model_type,
        "parameters": table.parameters,
        "source": table.source,
        "attentions": list(table.attentions),
        "trained_context": model.trained_context,
        "weights_bytes": {str(one): weights_bytes(table, one) for one in Precision},
        "weights_allocated_bytes": allocated_weights_bytes(table, precision),
        "not_applicable": {str(one): why for one in Precision if (why := why_not(packing, one))},
        "as_stored": stored.as_json() if stored else None,
        "rule_of_thumb": rule_of_thumb(table, precision).as_json(),
        "kv_cache_bytes_per_token": kv_bytes_per_token(table, precision.element_bytes),
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
    on_host: bool = False,
) -> Estimate:
    """Predict the memory that a model needs; the arguments are those of `Work`.

    Args:
        config: config.json as an object, or what `read_model` made of it.
        precision: how the weights are kept.
        context: tokens a row, 1 to 2^24.
        batch: rows at once, 1 to 65,536.
        attention: `auto` takes sdpa where the model's class has it, else eager.
        training: how it is trained; None for generating.
        framework_bytes: the share of CUDA context and libraries, as measured.
        on_host: it runs on the CPU.

    Raises:
        BadConfig: config.json describes no model that could exist.
        BadInput: what is asked cannot be had of this model.
    """
    model = config if isinstance(config, Model) else read_model(config)
    chosen = best_attention(model) if attention == "auto" else attention
    return estimate_work(model, Work(precision, context, batch, chosen, training, framework_bytes, on_host))


def estimate_work(model: Model, work: Work) -> Estimate:
    """The same for work that is put together already."""
    check_work(model, work)
    notes = notes_of(model.table, model.packing, work.precision, work.context, work.training)
    return Estimate(
        model, work, parts_of(model, work), load_part(model.table, work.precision, on_host=work.on_host), notes
    )


def largest_context(asked: Estimate, usable_bytes: int) -> int:
    """The longest context that still fits, all else as asked; 0 where none does."""
    return fitting.largest(lambda n: _fits(asked, replace(asked.work, context=n), usable_bytes), MOST_CONTEXT)


def largest_batch(asked: Estimate, usable_bytes: int) -> int:
    """The most rows at once that still fit, all else as asked; 0 where not even one does."""
    return fitting.largest(lambda n: _fits(asked, replace(asked.work, batch=n), usable_bytes), MOST_BATCH)


def _fits(asked: Estimate, work: Work, usable_bytes: int) -> bool:
    other = replace(asked, work=work, parts=parts_of(asked.model, work))
    return other.fit(usable_bytes).verdict is not fitting.Verdict.EXCEEDS
