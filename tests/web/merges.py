"""What a merge's check found: made by hand, for what shows one."""

from __future__ import annotations

from typing import Any

from core.comparison.merged import Distance, MergeReport, Pair, judge
from core.comparison.values import Divergence, Interval, Quality


def distance(kl: float, logit: float) -> Distance:
    """How far one is from base + adapter."""
    names = ("median", "p90", "p95", "p99", "p999", "most")
    divergence = Divergence(mean=kl, low=kl * 0.9, high=kl * 1.1, **dict.fromkeys(names, kl))
    around = Interval(value=20.0, low=19.0, high=21.0, n=1020)
    top1 = Interval(value=0.999, low=0.99, high=1.0, n=1020)
    quality = Quality(n_tokens=1020, perplexity=around, bits_per_byte=1.1, kl=divergence, top1=top1)
    return Distance(quality=quality, logit_difference=logit, logit_most=31.0)


def report(**changes: Any) -> MergeReport:
    """A merge in float32 that passed, unless told otherwise."""
    usual: dict[str, Any] = {
        "base": "HuggingFaceTB/SmolLM2-135M-Instruct", "adapter": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "dtype": "float32",
        "checked_in": "float32", "device": "CPU", "licence": "apache-2.0", "n_tensors": 272, "n_changed": 210,
        "n_bytes": 538_000_000, "found": distance(2e-7, 4e-5), "noise": distance(1e-8, 1e-5),
        "samples": (
            Pair(prompt="What is gravity?", adapter="A force.", merged="A force.", is_equal=True),
            Pair(prompt="<b>Why?</b>", adapter="It is a thing.", merged="It is a <b>force</b>.", is_equal=False),
        ),
        "notes": ("Rounded once, from float32.",),
    }  # fmt: skip
    return judge(MergeReport(**usual | changes))
