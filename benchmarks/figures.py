"""Samples as one line: median, 95th percentile, n and spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the others lie, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def line(name: str, values: Sequence[float], unit: str = "ms", scale: float = 1000) -> str:
    """`name  p50 … p95 … n= stdev …`, the values multiplied by `scale`."""
    scaled = [value * scale for value in values]
    spread = statistics.stdev(scaled) if len(scaled) > 1 else 0.0
    return (
        f"{name:58} p50 {statistics.median(scaled):8.1f} {unit}  p95 {percentile(scaled, 0.95):8.1f} {unit}"
        f"  n={len(scaled)}  stdev {spread:.1f}"
    )
