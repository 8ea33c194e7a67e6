"""Intervals against values from textbooks, and how often they hold what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.llm import statistics
from core.llm.statistics import bootstrap_means, mean_intervals, ratio_interval, t_interval, t_quantile, wilson


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706205), (2, 4.302653), (3, 3.182446), (4, 2.776445), (9, 2.262157), (10, 2.228139), (49, 2.009575)],
)
def test_quantiles_of_t_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=1e-6)


def test_the_t_interval_of_five_repeats_is_the_one_done_by_hand() -> None:
    assert t_interval([9.8, 10.0, 10.2, 10.1, 9.9]) == pytest.approx((10 - 0.196324, 10 + 0.196324), abs=1e-6)


def test_one_repeat_has_no_interval() -> None:
    assert t_interval([3.5]) == (3.5, 3.5)
    assert ratio_interval([3.0], [2.0]).model_dump() == pytest.approx({"value": 1.5, "low": 1.5, "high": 1.5, "n": 1})


def test_equal_repeats_have_an_interval_of_no_width() -> None:
    assert t_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_a_ratio_is_paired_and_tells_the_same_upside_down() -> None:
    drifting = [1.0, 2.0, 4.0, 8.0]
    ratio = ratio_interval([1.1 * one for one in drifting], drifting)
    assert (ratio.value, ratio.low, ratio.high, ratio.n) == pytest.approx((1.1, 1.1, 1.1, 4))
    one, other = ratio_interval([1, 2, 3], [2, 2, 2]), ratio_interval([2, 2, 2], [1, 2, 3])
    assert (one.value * other.value, one.low * other.high, one.high * other.low) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.255289, 0.366214), (15, 148, 0.062386, 0.160528), (0, 20, 0, 0.161125), (20, 20, 0.838875, 1)],
)
def test_shares_have_the_intervals_of_the_literature(successes: int, n: int, low: float, high: float) -> None:
    """The first two are the worked examples 1 and 2 of Newcombe 1998, method 3."""
    share = wilson(successes, n)
    assert (share.value, share.n) == (successes / n, n)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)


def test_the_bootstrap_holds_the_true_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    n_right = 0
    for seed in range(200):
        interval = mean_intervals(generator.normal(3.0, 2.0, (40, 5, 1)), seed)[0]
        n_right += interval.low <= 3.0 <= interval.high
    assert 0.91 <= n_right / 200 <= 0.99


def test_the_bootstrap_is_as_wide_as_the_standard_error() -> None:
    pieces_N_K = np.random.default_rng(1).normal(0.0, 1.0, (2_500, 1))
    assert bootstrap_means(pieces_N_K, np.random.default_rng(2)).std() == pytest.approx(pieces_N_K.std() / 50, rel=0.05)


def test_windows_that_differ_widen_the_interval_beyond_that_of_tokens() -> None:
    generator = np.random.default_rng(3)
    alike_W_T = generator.normal(0.0, 1.0, (8, 511, 1))
    (alike,), (apart,) = (mean_intervals(one, 0) for one in (alike_W_T, alike_W_T + generator.normal(0, 1, (8, 1, 1))))
    assert apart.n == 8
    assert apart.high - apart.low > 4 * (alike.high - alike.low)


def test_one_window_is_judged_by_its_tokens() -> None:
    (interval,) = mean_intervals(np.random.default_rng(4).normal(0.0, 1.0, (1, 100, 1)), 0)
    assert interval.n == 100
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 10, rel=0.2)


def test_the_same_seed_gives_the_same_interval_whatever_is_resampled_beside_it() -> None:
    pieces_W_T_K = np.random.default_rng(5).normal(0.0, 1.0, (40, 3, 3))
    alone = mean_intervals(pieces_W_T_K[..., :1], 7)[0]
    assert mean_intervals(pieces_W_T_K, 7)[0].model_dump() == pytest.approx(alone.model_dump(), abs=1e-12)
    assert mean_intervals(pieces_W_T_K[..., :1], 7)[0] == alone
    assert mean_intervals(pieces_W_T_K, 8)[0].low != pytest.approx(alone.low, abs=1e-4)


def test_what_is_drawn_at_once_changes_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces_N_K = np.random.default_rng(6).normal(0.0, 1.0, (50, 2))
    whole = bootstrap_means(pieces_N_K, np.random.default_rng(0))
    monkeypatch.setattr(statistics, "DRAWN_AT_ONCE", 50 * 7)
    assert np.array_equal(whole, bootstrap_means(pieces_N_K, np.random.default_rng(0)))


def test_zeros_have_an_interval_of_exactly_zero() -> None:
    (interval,) = mean_intervals(np.zeros((8, 511, 1)), 0)
    assert (interval.value, interval.low, interval.high) == (0.0, 0.0, 0.0)
    assert math.exp(interval.high) == 1.0
