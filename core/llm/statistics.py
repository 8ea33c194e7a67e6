"""Intervals for what is measured: by resampling, of a share, of a few repeats. Without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

from core.comparison.values import Interval

Floats = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000
DRAWN_AT_ONCE = 2_000_000  # numbers of pieces in memory: 16 MB, and as much for each column that they pick


def bootstrap_means(pieces_N_K: Floats, generator: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """The means of `resamples` samples with replacement, each as large as what was given.

    Args:
        pieces_N_K: K figures of each of N pieces; the pieces are drawn, so that the figures stay paired.

    Returns:
        (resamples, K).

    Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 6.
    """
    columns_K_N = np.ascontiguousarray(pieces_N_K.T)
    drawn = [
        np.stack([column_N[picked_R_N].mean(axis=1) for column_N in columns_K_N], axis=1)
        for picked_R_N in _draws(len(pieces_N_K), resamples, generator)
    ]
    return np.concatenate(drawn)


def mean_intervals(pieces_W_T_K: Floats, seed: int) -> list[Interval]:
    """The mean of each of K figures over all tokens, with the wider of two 95 % percentile intervals.

    Tokens of one window hang together, so that drawing tokens flatters; of a few windows drawing windows can be too
    narrow by chance. `n` counts the pieces that the wider one drew: tokens or windows.

    Args:
        pieces_W_T_K: (windows, tokens, figures).

    Source: Efron & Tibshirani 1993, chapters 8 (blocks) and 13 (percentiles).
    """
    n_windows, n_tokens, n_figures = pieces_W_T_K.shape
    generator = np.random.default_rng(seed)
    by_token = _percentiles(pieces_W_T_K.reshape(n_windows * n_tokens, n_figures), generator)
    by_window = _percentiles(pieces_W_T_K.mean(axis=1), generator)
    means_K = pieces_W_T_K.mean(axis=(0, 1))
    return [
        _wider(float(mean), token, window) for mean, token, window in zip(means_K, by_token, by_window, strict=True)
    ]


def wilson(successes: int, n: int) -> Interval:
    """A share with its 95 % interval, which stays within 0 and 1 and is honest near them.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    z, share = NormalDist().inv_cdf((1 + LEVEL) / 2), successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(value=share, low=max(0.0, min(middle - half, share)), high=min(1.0, max(middle + half, share)), n=n)


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of a few repeats; of one repeat, that repeat twice.

    Source: Student 1908, "The Probable Error of a Mean".
    """
    mean = fmean(values)
    if len(values) < 2:
        return mean, mean
    half = t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """The geometric mean of ratios of pairs, with the t interval of their logarithms.

    Logarithms, so that A over B and B over A tell the same. All must be above 0, and paired by index.
    """
    logs = [math.log(above / below) for above, below in zip(numerators, denominators, strict=True)]
    low, high = t_interval(logs)
    return Interval(value=math.exp(fmean(logs)), low=math.exp(low), high=math.exp(high), n=len(logs))


def t_quantile(freedom: int, level: float = LEVEL) -> float:
    """Between minus and plus this lie `level` of Student's t with that many degrees of freedom.

    The distribution's finite series, turned round by halving; no other part needs a library of distributions.

    Source: Abramowitz & Stegun 1964, 26.7.3 and 26.7.4.
    """
    low, high = 0.0, math.pi / 2  # as an angle, arctan(t / sqrt(freedom)), which is bounded
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < level else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def _t_within(angle: float, freedom: int) -> float:
    is_odd = freedom % 2
    term = math.cos(angle) if is_odd else 1.0
    total = 0.0
    for power in range(2 + is_odd, freedom + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power - 1) / power
    return 2 / math.pi * (angle + math.sin(angle) * total) if is_odd else math.sin(angle) * total


def _draws(n: int, resamples: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    at_once = max(1, DRAWN_AT_ONCE // n)
    for start in range(0, resamples, at_once):
        yield generator.integers(n, size=(min(at_once, resamples - start), n))


def _percentiles(pieces_N_K: Floats, generator: np.random.Generator) -> list[tuple[float, float, int]]:
    ends = (50 * (1 - LEVEL), 50 * (1 + LEVEL))
    low_K, high_K = np.percentile(bootstrap_means(pieces_N_K, generator), ends, axis=0)
    return [(float(low), float(high), len(pieces_N_K)) for low, high in zip(low_K, high_K, strict=True)]


def _wider(mean: float, *ends: tuple[float, float, int]) -> Interval:
    low, high, n = max(ends, key=lambda one: one[1] - one[0])
    return Interval(value=mean, low=low, high=high, n=n)
