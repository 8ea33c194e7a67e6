"""The precisions in which a model can be loaded. Without torch: the page offers them too."""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """How the numbers of a model are kept in memory."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
