"""What a model needs in memory, before anything is loaded. Imports no torch.

`estimate(config, …)` answers for one precision, context and batch, every figure with its formula; `read_model` reads a
config.json once for many of them.
"""

from __future__ import annotations

from core.memory.estimate import Estimate, estimate, estimate_work, largest_batch, largest_context
from core.memory.fit import Fit, Verdict
from core.memory.formula import Part
from core.memory.model import Model, read_model
from core.memory.optimizer import Optimizer
from core.memory.training import Training
from core.memory.work import Work
from core.precision import Precision, parse_precision

__all__ = [
    "Estimate",
    "Fit",
    "Model",
    "Optimizer",
    "Part",
    "Precision",
    "Training",
    "Verdict",
    "Work",
    "estimate",
    "estimate_work",
    "largest_batch",
    "largest_context",
    "parse_precision",
    "read_model",
]
