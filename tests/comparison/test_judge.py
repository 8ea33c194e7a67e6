"""What follows from figures: which differences are real, what is recommended, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from core.comparison.judge import Goal, Loss, loss_of, pareto, recommend
from core.comparison.peaks import alike, peak_at
from core.comparison.sentences import headlines
from core.comparison.values import (
    Comparison,
    Divergence,
    Interval,
    Noise,
    Prefill,
    Quality,
    Said,
    VariantResult,
    VariantState,
)
from core.values import Trouble

MB = 1_000_000


def interval(value: float, width: float = 0.0) -> Interval:
    return Interval(value=value, low=value - width, high=value + width, n=100)


def divergence(mean: float) -> Divergence:
    return Divergence(
        mean=mean, low=0.9 * mean, high=1.1 * mean, median=mean, p90=mean, p95=mean, p99=mean, p999=mean, most=mean
    )


def variant(name: str, mb: float, speed: float, kl: float | None, ratio: float = 1.0, **further: Any) -> VariantResult:
    quality = Quality(
        n_tokens=100,
        perplexity=interval(20 * ratio, 2),
        bits_per_byte=1.0,
        perplexity_ratio=None if kl is None else interval(ratio, 0.002),
        kl=None if kl is None else divergence(kl),
        top1=None if kl is None else interval(1 - kl, 0.001),
    )
    return VariantResult.model_validate(
        {
            "name": name, "state": VariantState.SUCCEEDED, "weights_bytes": Said(measured=mb * MB),
            "peak_bytes": Said(measured=mb * MB), "tokens_per_s": 100 * speed, "speed_ratio": interval(speed, 0.02),
            "quality": quality, "perplexity": quality.perplexity, "kl_mean": kl,
            "top1_agreement": None if kl is None else 1 - kl,
        }
        | further
    )  # fmt: skip


def comparison(*variants: VariantResult, kl_noise: float = 1e-6, **further: Any) -> Comparison:
    noise = Noise(kl_mean=kl_noise, kl_p99=kl_noise, perplexity_ratio=interval(1.0), top1=interval(1.0), batch=2)
    reference = variant("float32", 1000, 1.0, None, speed_ratio=None)
    return Comparison.model_validate(
        {"reference": "float32", "variants": (reference, *variants), "noise": noise} | further
    )


BF16, INT8, NF4 = (
    variant("bfloat16", 500, 1.5, 0.001, 1.0005),
    variant("int8", 300, 0.3, 0.02, 1.01),
    variant("nf4", 200, 0.7, 0.06, 1.05),
)


@pytest.mark.parametrize(
    ("kl", "loss"),
    [(1e-7, Loss.NONE), (0.005, Loss.TINY), (0.03, Loss.SMALL), (0.1, Loss.VISIBLE), (0.3, Loss.POOR)],
)
def test_a_loss_is_told_by_divergence_and_equal_tokens(kl: float, loss: Loss) -> None:
    one = variant("other", 500, 1.0, kl, 1.0 if kl < 1e-6 else 1.2)
    assert loss_of(one, comparison(one)) is loss


def test_below_the_noise_floor_nothing_is_a_difference() -> None:
    one = variant("again", 1000, 1.0, 0.004)
    assert loss_of(one, comparison(one)) is Loss.TINY
    assert loss_of(one, comparison(one, kl_noise=0.005)) is Loss.NONE


def test_without_a_reference_a_loss_is_unknown() -> None:
    one = variant("alone", 1000, 1.0, None)
    assert loss_of(one, comparison(one)) is Loss.UNKNOWN


def test_the_rules_choose_by_what_matters() -> None:
    found = comparison(BF16, INT8, NF4)

    def choose(mb: int, goal: Goal) -> str | None:
        chosen = recommend(found, mb * MB, None, goal)
        return chosen.variant if chosen else None

    assert choose(2000, Goal.QUALITY) == "float32"
    assert choose(1020, Goal.QUALITY) == "bfloat16"  # 3 % to spare
    assert choose(320, Goal.QUALITY) == "int8"
    assert choose(2000, Goal.MEMORY) == "nf4"
    assert choose(2000, Goal.SPEED) == "bfloat16"
    assert choose(320, Goal.SPEED) == "nf4"
    assert choose(100, Goal.QUALITY) is None


def test_a_recommendation_says_margin_and_rule() -> None:
    chosen = recommend(comparison(BF16), 600 * MB)
    assert chosen
    assert (chosen.variant, chosen.margin_bytes) == ("bfloat16", 100 * MB)
    assert "least mean KL" in chosen.rule
    assert chosen.sentence == "Take bfloat16: it leaves 100.00 MB free and cannot be told from the reference."


def test_what_does_not_shrink_the_model_is_not_recommended_for_memory() -> None:
    useless = variant("nf4", 990, 0.5, 0.03, precision="nf4", weights_bytes=Said(measured=1001 * MB))
    chosen = recommend(comparison(useless), 1100 * MB, None, Goal.MEMORY)
    assert chosen
    assert chosen.variant == "float32"


def test_equal_quality_goes_to_the_smaller_one() -> None:
    again = variant("smaller", 900, 1.0, 1e-7)
    chosen = recommend(comparison(again), 5000 * MB)
    assert chosen
    assert chosen.variant == "smaller"


def points(*peaks: tuple[int, float]) -> tuple[Prefill, ...]:
    return tuple(Prefill(context=context, peak_bytes=Said(measured=mb * MB)) for context, mb in peaks)


def test_a_peak_between_and_beyond_what_was_measured() -> None:
    line = variant("sdpa", 140, 1, 0.0, attention="sdpa", prefill=points((100, 110), (200, 120), (400, 140)))
    square = variant("eager", 116, 1, 0.0, attention="eager", prefill=points((100, 101), (200, 104), (400, 116)))
    assert peak_at(line, None) == 140 * MB
    assert peak_at(line, 300) == pytest.approx(130 * MB)
    assert peak_at(line, 1000) == pytest.approx(200 * MB)
    assert peak_at(square, 1000) == pytest.approx(200 * MB)  # 100 + (n / 100)²


def test_a_smaller_peak_is_recommended_though_the_weights_are_the_same() -> None:
    sdpa = variant("sdpa", 400, 1.8, 1e-7, weights_bytes=Said(measured=1000 * MB), precision="bfloat16")
    chosen = recommend(comparison(sdpa), 5000 * MB)
    assert chosen
    assert chosen.variant == "sdpa"


def test_peaks_are_of_the_sizes_that_all_have_done() -> None:
    short = variant("short", 0, 1, 0.0, prefill=points((100, 110)))
    long = variant("long", 0, 1, 0.0, prefill=points((100, 90), (4000, 900)))
    assert [one.peak_bytes.measured for one in alike((short, long))] == [110 * MB, 90 * MB]


def test_what_was_taught_something_is_not_said_to_be_poor() -> None:
    taught = variant("adapter", 1000, 1.0, 0.4, 0.75, model="m", adapter="a")
    found = comparison(taught)
    reference = found.variants[0].model_copy(update={"model": "m"})
    found = found.model_copy(update={"variants": (reference, taught)})
    assert loss_of(taught, found) is Loss.OTHER
    assert "25 % less perplexity on this text: take it for texts like this one" in headlines(found)[0]
    chosen = recommend(found, 5000 * MB)
    assert chosen
    assert chosen.variant == "adapter"
    assert "least perplexity" in chosen.rule


def test_a_speed_that_nobody_would_notice_is_no_difference() -> None:
    again = variant("again", 1000, 1.0, 1e-7, speed_ratio=Interval(value=0.98, low=0.97, high=0.99, n=5))
    assert headlines(comparison(again)) == ("again and float32: no difference beyond noise.",)


def test_of_a_speed_that_varied_nothing_is_claimed() -> None:
    one = variant("nf4", 200, 0.5, 0.06, 1.05, speed_ratio=Interval(value=0.5, low=0.2, high=1.2, n=2))
    assert "varied too much to tell its speed" in headlines(comparison(one))[0]


def test_the_front_holds_what_nothing_beats_in_all_three() -> None:
    worse = variant("fp4", 250, 0.6, 0.2)
    assert pareto(comparison(BF16, INT8, NF4, worse)) == {"float32", "bfloat16", "int8", "nf4"}


def test_the_headline_says_memory_speed_and_quality_in_words() -> None:
    said = headlines(comparison(BF16, INT8, NF4))
    assert said[0] == (
        "nf4 takes 20 % of float32's memory (200.00 MB against 1.00 GB), runs at 0.70 of its speed, and costs 5 % "
        "perplexity: it saves memory and costs speed, so take it when memory is what is missing."
    )
    assert "int8 takes 30 %" in said[1]
    assert "costs speed" in said[1]
    assert "runs 1.50 times as fast" in said[2]


def test_two_that_are_the_same_are_said_to_be() -> None:
    again = variant("again", 1000, 1.0, 1e-7)
    assert headlines(comparison(again)) == ("again and float32: no difference beyond noise.",)


def test_what_was_not_measured_is_said_too() -> None:
    failed = VariantResult(
        name="int8", state=VariantState.FAILED, trouble=Trouble(code="out_of_memory", message="The card is full.")
    )
    skipped = VariantResult(name="flash", state=VariantState.SKIPPED, reason="it is not installed")
    said = headlines(comparison(NF4, failed, skipped))
    assert said[1:] == ("int8 failed: The card is full.", "flash was left out: it is not installed.")


def test_without_the_reference_no_quality_is_claimed() -> None:
    gone = VariantResult(name="float32", state=VariantState.FAILED, trouble=Trouble(code="x", message="It broke."))
    found = Comparison(reference="float32", variants=(gone, variant("nf4", 200, 0.7, None, speed_ratio=None)))
    chosen = recommend(found, 5000 * MB)
    assert chosen
    assert "was not held against a reference" in chosen.sentence
    assert headlines(found)[0].startswith("The reference float32 was not measured")
