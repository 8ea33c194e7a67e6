"""Curves of training runs as the page draws them: the whole run, thinned so that no peak or dip is lost.

A point is [step, seconds of training, value]; the page draws it along either, smoothed or not (`ui/curves.js`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from core.store import Store
from core.values import Job, Metric

MOST_POINTS = 1_500
DIGITS = 5
NOT_DRAWN = frozenset({"epoch", "seconds", "perplexity"})
Point = tuple[int, float, float]


@dataclass(frozen=True)
class Picture:
    """What goes into one chart: (sort, name of the value, what its curve is called) of each; `factor` to its unit."""

    id: str
    title: str
    curves: tuple[tuple[str, str, str], ...]
    unit: str = ""
    factor: float = 1.0
    is_from_zero: bool = False


KNOWN = (
    Picture("loss", "Loss", (("train", "loss", "training"), ("eval", "eval_loss", "held out")), "nats a token"),
    Picture("tokens_per_s", "Speed", (("train", "tokens_per_s", "speed"),), "tok/s", is_from_zero=True),
    Picture("learning_rate", "Learning rate", (("train", "learning_rate", "learning rate"),), is_from_zero=True),
    Picture("grad_norm", "Gradient norm", (("train", "grad_norm", "gradient norm"),), is_from_zero=True),
    Picture(
        "accuracy", "Tokens guessed right", (("train", "mean_token_accuracy", "training"),), "%", 100, is_from_zero=True
    ),
    Picture(
        "memory_bytes",
        "Memory",
        (("machine", "memory_bytes", "this run"), ("machine", "gpu_bytes", "the whole card")),
        "GB",
        1e-9,
        True,
    ),
    Picture(
        "host_bytes", "Memory of the machine, by all programs", (("machine", "host_bytes", "in use"),), "GB", 1e-9, True
    ),
    Picture("cpu_percent", "Processor, by this run", (("machine", "cpu_percent", "in use"),), "%", is_from_zero=True),
    Picture("gpu_percent", "Card, by all programs", (("machine", "gpu_percent", "in use"),), "%", is_from_zero=True),
    Picture("gpu_watts", "Power of the card", (("machine", "gpu_watts", "power"),), "W", is_from_zero=True),
    Picture("gpu_celsius", "Temperature of the card", (("machine", "gpu_celsius", "temperature"),), "°C"),
)
OVER = (
    ("Loss while training", "train", "loss", "nats a token"),
    ("Loss on held-out rows", "eval", "eval_loss", "nats a token"),
    ("Speed", "train", "tokens_per_s", "tok/s"),
)
TONES = (0, 2, 3, 4, 5, 1, 6)  # those that lie next to each other in the palette are alike
DASHES = ("solid", "dashed", "dotted")  # beside the colour, so that a grey picture tells them apart too
DRAWN = frozenset((sort, name) for one in KNOWN for sort, name, _ in one.curves)


def curves_of(job: Job, metrics: Sequence[Metric]) -> str:
    """All curves of a run as JSON; "" while there are none."""
    found = _Run(metrics)
    charts = [chart for one in (*KNOWN, *found.others()) if (chart := _chart(one, found))]
    return json.dumps({"total": _total(job), "charts": charts}, separators=(",", ":")) if charts else ""


def read_curves(store: Store, job: Job) -> str:
    """The same from the store."""
    return curves_of(job, store.metrics(job.id))


def laid_over(runs: Iterable[tuple[str, Job, Sequence[Metric]]]) -> dict[str, Any]:
    """The losses of several runs, a colour for each."""
    each = list(runs)
    drawn = [(letter, _Run(metrics)) for letter, _, metrics in each]
    charts = []
    for title, sort, name, unit in OVER:
        series = [
            _series(letter, TONES[n % len(TONES)], run.points(sort, name, 1)) | {"dash": DASHES[n % len(DASHES)]}
            for n, (letter, run) in enumerate(drawn)
        ]
        if series := [one for one in series if one["points"]]:
            is_from_zero = name == "tokens_per_s"
            charts.append({"id": name, "title": title, "unit": unit, "zero": is_from_zero, "series": series})
    return {"total": max((_total(job) for _, job, _ in each), default=0), "charts": charts}


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most so many points: of each stretch of the run the first, the least, the largest and the last."""
    if len(points) <= most:
        return list(points)
    n_buckets = max(1, most // 4)
    found: list[Point] = []
    for nth in range(n_buckets):
        begin, end = nth * len(points) // n_buckets, (nth + 1) * len(points) // n_buckets
        bucket = range(begin, end)
        if bucket:
            least = min(bucket, key=lambda at: points[at][2])
            most_of = max(bucket, key=lambda at: points[at][2])
            found += [points[at] for at in sorted({begin, least, most_of, end - 1})]
    return found


class _Run:
    """The rows of one run, by sort, with the training time at each step."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._rows = {sort: [one for one in metrics if one.sort == sort] for sort in ("train", "eval", "machine")}
        self._clock = _Clock(metrics)

    def points(self, sort: str, name: str, factor: float) -> list[Point]:
        """One curve; what is no number is left out."""
        found = [
            (one.step, self._clock.at(one), _rounded(value * factor))
            for one in self._rows[sort]
            if (value := one.values.get(name)) is not None and isfinite(value)
        ]
        return thinned(found)

    def others(self) -> Iterator[Picture]:
        """A chart for each value that none of the known ones shows, so that nothing logged stays unseen."""
        for sort, rows in self._rows.items():
            for name in dict.fromkeys(name for one in rows for name in one.values):
                if name not in NOT_DRAWN and (sort, name) not in DRAWN:
                    unit, factor = ("GB", 1e-9) if name.endswith("_bytes") else ("", 1.0)
                    title = name.removesuffix("_bytes").replace("_", " ").replace("/", " ").capitalize()
                    yield Picture(f"{sort}-{name}", title, ((sort, name, title.lower()),), unit, factor)


class _Clock:
    """Seconds of training at each row: as logged, else since the first row."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        told = ((one.step, one.values["seconds"]) for one in metrics if "seconds" in one.values)
        self._seconds: Mapping[int, float] = dict(told)
        self._first = min((one.at for one in metrics), default=0.0)
        self._last = 0.0

    def at(self, one: Metric) -> float:
        if self._seconds:
            self._last = self._seconds.get(one.step, self._last if one.step else 0.0)
            return round(self._last, 2)
        return round(one.at - self._first, 2)


def _chart(one: Picture, run: _Run) -> dict[str, Any] | None:
    found = [
        _series(called, 2 * n, run.points(sort, name, one.factor), is_apart=sort == "eval")
        for n, (sort, name, called) in enumerate(one.curves)
    ]
    series = [each for each in found if each["points"]]
    if not series:
        return None
    return {"id": one.id, "title": one.title, "unit": one.unit, "zero": one.is_from_zero, "series": series}


def _series(name: str, tone: int, points: Sequence[Point], *, is_apart: bool = False) -> dict[str, Any]:
    return {"name": name, "tone": tone, "apart": is_apart, "points": points}


def _total(job: Job) -> int:
    return int((job.result or {}).get("total_steps") or 0)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
