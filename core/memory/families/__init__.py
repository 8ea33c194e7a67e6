"""The families of models whose tensors follow from config.json alone, by `model_type`."""

from __future__ import annotations

from core.memory.families.dense import DENSE
from core.memory.families.further import FURTHER
from core.memory.families.hybrid import HYBRID
from core.memory.families.mixed import MIXED
from core.memory.families.older import OLDER
from core.memory.families.sparse import SPARSE
from core.memory.family import Family

FAMILIES: dict[str, Family] = {**DENSE, **OLDER, **SPARSE, **HYBRID, **FURTHER, **MIXED}
