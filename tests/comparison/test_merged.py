"""The rule by which a merged model passes, held against figures that were measured on the built-in model."""

from __future__ import annotations

import pytest

from core.comparison.merged import Distance, MergeReport, Verdict, judge
from core.comparison.values import Divergence, Interval, Quality


def distance(kl: float, top1: float = 1.0, logit: float = 0.0) -> Distance:
    spread = dict.fromkeys(("low", "high", "median", "p90", "p95", "p99", "p999", "most"), kl)
    quality = Quality(
        n_tokens=1020,
        perplexity=Interval(value=49, low=48, high=50, n=4),
        bits_per_byte=1.2,
        kl=Divergence(mean=kl, **spread),
        top1=Interval(value=top1, low=top1, high=top1, n=1020),
    )
    return Distance(quality=quality, logit_difference=logit, logit_most=41.0)


FLOORS = {"bfloat16": distance(1.132e-3, 0.9755, 2.71), "float16": distance(1.819e-5, 0.9971, 0.174), "float32": None}


@pytest.mark.parametrize(
    ("dtype", "found", "verdict"),
    [
        ("float32", distance(5.744e-7, 1.0, 1.192e-4), Verdict.PASSED),
        ("float32", distance(2.359e-5, 1.0, 0.1971), Verdict.FAILED),  # the adapter 1 % too strong
        ("float32", distance(1.096e-5, 0.9971, 0.1632), Verdict.FAILED),  # one layer of 210 left out
        ("float32", distance(5.7e-7, 1.0, 0.1), Verdict.FAILED),  # a single logit
        ("bfloat16", distance(1.707e-4, 0.9971, 0.4685), Verdict.PASSED),
        ("bfloat16", distance(1.638e-3, 0.9824, 1.897), Verdict.FAILED),  # 10 % too strong
        ("bfloat16", distance(7.056e-2, 0.8549, 9.817), Verdict.FAILED),  # half of it
        ("bfloat16", distance(1.7e-4, 0.96, 0.4685), Verdict.FAILED),
        ("float16", distance(1.396e-6, 1.0, 0.06912), Verdict.PASSED),
        ("float16", distance(2.359e-5, 1.0, 0.1971), Verdict.FAILED),
    ],
)
def test_what_was_measured_passes_and_what_was_spoiled_fails(dtype: str, found: Distance, verdict: Verdict) -> None:
    report = MergeReport(dtype=dtype, checked_in="float32", found=found, floor=FLOORS[dtype], noise=distance(5.744e-7))
    judged = judge(report)
    assert judged.verdict is verdict
    assert judged.text.startswith(f"Merged in {dtype}: {'the' if verdict is Verdict.PASSED else 'not the'} same as")
    assert dtype in judged.rule.lower()


def test_nothing_is_asked_below_the_noise_of_the_model_itself() -> None:
    """Experts that are chosen by a hair change with the batch."""
    noisy = distance(1e-4, 0.999, 0.5)
    found = distance(2e-4, 0.999, 1.0)
    report = MergeReport(dtype="float32", checked_in="float32", found=found, noise=noisy)
    assert judge(report).verdict is Verdict.PASSED
    assert judge(report.model_copy(update={"noise": distance(5e-7)})).verdict is Verdict.FAILED


def test_without_room_for_float32_the_bands_are_wider_and_said() -> None:
    report = MergeReport(dtype="bfloat16", checked_in="bfloat16", found=distance(0.004, 0.98), noise=distance(1e-4))
    assert judge(report).verdict is Verdict.PASSED
    assert "does not fit" in judge(report).rule
    assert judge(report.model_copy(update={"found": distance(0.02, 0.98)})).verdict is Verdict.FAILED
