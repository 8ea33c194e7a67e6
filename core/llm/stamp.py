"""What made an output, exactly enough to make it again."""

from __future__ import annotations

from core.llm.loading import LoadedModel
from core.llm.measure import versions
from core.values import MadeBy


def stamp(loaded: LoadedModel, seed: int | None, adapter: str | None = None) -> MadeBy:
    """The model with revision, precision, device, seed and the versions that it was computed with."""
    return MadeBy(
        model=loaded.source.name,
        revision=loaded.source.revision,
        adapter=adapter,
        precision=loaded.precision,
        device=loaded.device_name,
        seed=seed,
        versions=versions(),
    )
