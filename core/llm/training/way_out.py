"""What to change where a training does not fit, with the bytes that it would save."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from core.memory import Model
from core.memory.formula import size
from core.memory.training import Training, training_parts
from core.precision import Precision

if TYPE_CHECKING:
    from core.training.fields import TrainFields


def way_out(spec: TrainFields, model: Model | None, precision: Precision, longest: int, length: str) -> str:
    """The change that costs least, as a hint.

    Args:
        longest: tokens of the longest row.
        length: the field that bounds them.
    """
    rows, training = spec.per_device_train_batch_size, spec.training(precision, has_checkpointing=False)
    if rows > 1:
        half = rows // 2
        saved = _bytes(model, precision, training, longest, rows) - _bytes(model, precision, training, longest, half)
        steps = math.ceil(spec.rows_per_step / half)
        return (
            f"Take per_device_train_batch_size {half} with gradient_accumulation_steps {steps}: as many rows a step"
            f"{f', about {size(saved)} less' if saved else ''}."
        )
    if spec.gradient_checkpointing == "off":
        less = replace(training, has_checkpointing=True)
        saved = _bytes(model, precision, training, longest, rows) - _bytes(model, precision, less, longest, rows)
        return f"Set gradient_checkpointing to on{f': about {size(saved)} less' if saved else ''}."
    return f"Take a {length} below {longest:,}, or a dtype of fewer bits."


def _bytes(model: Model | None, precision: Precision, training: Training, context: int, rows: int) -> int:
    if model is None or model.widths is None:
        return 0
    parts = training_parts(model.table, model.widths, precision, training, context, rows, "sdpa")
    return sum(one.n_bytes for one in parts)
