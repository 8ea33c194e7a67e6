"""What a model needs in memory, before anything is loaded. Imports no torch.

`estimate(config, …)` answers for one precision, context and batch, every figure with its formula; `read_model` reads a
config.json once for many of them.
"""

from __future__ import annotations

from core.memory.estimate import Estimate, Model, estimate, largest_batch, largest_context, read_model
from core.memory.fit import Fit, Verdict
from core.memory.formula import Part
from core.memory.optimizer import Optimizer
from core.memory.precision import Precision, parse_precision
from core.memory.training import Training

__all__ = [
    "Estimate",
    "Fit",
    "Model",
    "Optimizer",
    "Part",
    "Precision",
    "Training",
    "Verdict",
    "estimate",
    "largest_batch",
    "largest_context",
    "parse_precision",
    "read_model",
]
