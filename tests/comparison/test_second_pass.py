"""The order in which speeds are taken, and what is made of the repeats."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from core.comparison.second_pass import DECODE, FIRST_TOKEN, Group, Round, groups_of, measure, order_in_words, repeated
from core.comparison.values import Interval

NAMES = ("fp32", "bf16", "nf4")


def ratio(values: Sequence[float], beside: Sequence[float]) -> Interval:
    value = sum(one / other for one, other in zip(values, beside, strict=True)) / len(values)
    return Interval(value=value, low=value, high=value, n=len(values))


def test_what_fits_together_takes_turns_and_each_begins_a_round() -> None:
    order: list[tuple[str, int]] = []

    def take(name: str, what: str, size: int) -> float:
        order.append((name, size))
        return 1.0

    (group,) = groups_of(NAMES, "fp32", lambda _: True)
    measure([Round(DECODE, 1, group.names), Round(DECODE, 4, group.names)], 3, "fp32", take, ratio)
    rounds = [order[n : n + 6] for n in range(0, 18, 6)]
    assert [each[0][0] for each in rounds] == ["fp32", "bf16", "nf4"]
    assert [size for _, size in rounds[0]] == [1, 1, 1, 4, 4, 4]
    assert all({name for name, _ in each} == set(NAMES) for each in rounds)
    assert "took turns" in order_in_words((group,))


def test_a_machine_that_slows_down_favours_none() -> None:
    speed = 100.0

    def take(name: str, what: str, size: int) -> float:
        nonlocal speed
        speed *= 0.9
        return speed * (2 if name == "bf16" else 1)

    found = measure([Round(DECODE, 1, ("fp32", "bf16"))], 6, "fp32", take, ratio)
    paired = found.ratios["bf16", DECODE, 1].value
    assert paired == pytest.approx(2.0, rel=0.02)
    assert found.repeated["fp32", DECODE, 1].n == 6


def test_what_does_not_fit_together_goes_in_pairs_or_alone() -> None:
    sizes = {"fp32": 6, "bf16": 3, "nf4": 1}

    def fit(names: Sequence[str]) -> bool:
        return sum(sizes[name] for name in names) <= 8

    groups = groups_of(NAMES, "fp32", fit)
    assert groups == (Group(("fp32", "nf4")), Group(("bf16",)))
    said = order_in_words(groups)
    assert said == ("interleaved in pairs with the reference: nf4; in turn: bf16, for want of memory for more at once")
    alone = groups_of(NAMES, "fp32", lambda _: False)
    assert alone == (Group(("fp32",)), Group(("bf16",)), Group(("nf4",)))
    assert order_in_words(alone) == "in turn: fp32, bf16, nf4, for want of memory for more at once"


def test_nothing_is_held_against_a_reference_that_took_no_part() -> None:
    found = measure([Round(FIRST_TOKEN, 64, ("bf16",))], 2, "fp32", lambda *_: 1.0, ratio)
    assert not found.ratios


def test_of_one_repeat_no_ratio_is_claimed() -> None:
    assert not measure([Round(DECODE, 1, ("fp32", "bf16"))], 1, "fp32", lambda *_: 1.0, ratio).ratios


def test_repeats_come_with_their_spread() -> None:
    assert repeated([2.0, 4.0]).spread == pytest.approx(2**0.5)
    assert (repeated([3.0]).value, repeated([3.0]).spread, repeated([3.0]).n) == (3.0, 0.0, 1)
