"""Curves of training runs as the page draws them: the whole run, thinned so that no peak or dip is lost.

A point is [step, seconds of training, value]; the page draws it along either, smoothed or not (`ui/curves.js`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from core.store import Store
from core.values import Job, Metric
from web.train_pictures import HELD_OUT, OVER, PART, Picture, pictures_of

MOST_POINTS = 1_500
DIGITS = 5
NOT_DRAWN = frozenset({"epoch", "seconds", "perplexity"})
Point = tuple[int, float, float]


TONES = (0, 2, 3, 4, 5, 1, 6)  # those that lie next to each other in the palette are alike
DASHES = ("solid", "dashed", "dotted")  # beside the colour, so that a grey picture tells them apart too


def curves_of(job: Job, metrics: Sequence[Metric]) -> str:
    """All curves of a run as JSON; "" while there are none."""
    run, known = _Run(metrics), pictures_of(job.kind)
    charts = [chart for one in (*known, *run.others(known)) if (chart := _chart(one, run, job))]
    return json.dumps({"total": _total(job), "charts": charts}, separators=(",", ":")) if charts else ""


def read_curves(store: Store, job: Job) -> str:
    """The same from the store."""
    return curves_of(job, store.metrics(job.id))


def laid_over(runs: Iterable[tuple[str, Job, Sequence[Metric]]]) -> dict[str, Any]:
    """What is compared of several runs of one kind, a colour for each."""
    each = list(runs)
    drawn = [(letter, _Run(metrics)) for letter, _, metrics in each]
    charts = []
    for one in OVER.get(each[0][1].kind, OVER["sft"]) if each else ():
        ((sort, name, _),) = one.curves
        series = [
            _series(letter, tone_of(n), run.points(sort, name, one.factor)) | {"dash": DASHES[n % len(DASHES)]}
            for n, (letter, run) in enumerate(drawn)
        ]
        if series := [curve for curve in series if curve["points"]]:
            charts.append(_as_chart(one, series))
    return {"total": max((_total(job) for _, job, _ in each), default=0), "charts": charts}


def tone_of(n: int) -> int:
    """The colour of the nth curve of a chart."""
    return TONES[n % len(TONES)]


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

    def parts(self, prefix: str) -> list[str]:
        """The names of training values that begin like this, in the order in which they came."""
        named = dict.fromkeys(name for one in self._rows["train"] for name in one.values)
        return [name for name in named if prefix and name.startswith(prefix)]

    def others(self, known: Sequence[Picture]) -> Iterator[Picture]:
        """A chart for each value that none of the known ones shows, so that nothing logged stays unseen."""
        drawn = {(sort, name) for one in known for sort, name, _ in one.curves}
        drawn |= {("train", name) for one in known for name in self.parts(one.parts)}
        for sort, rows in self._rows.items():
            for name in dict.fromkeys(name for one in rows for name in one.values):
                if name not in NOT_DRAWN and (sort, name) not in drawn:
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


def _chart(one: Picture, run: _Run, job: Job) -> dict[str, Any] | None:
    parts = [name for name in run.parts(one.parts) if not name.startswith(PART + HELD_OUT)]  # that has a curve already
    wanted = (*one.curves, *(("train", name, name.removeprefix(PART)) for name in parts if len(parts) > 1))
    drawn = [
        _series(called, tone_of(n), run.points(sort, name, one.factor), is_apart=sort == "eval")
        | ({} if sort == "eval" else {"dash": DASHES[n % len(DASHES)]})
        for n, (sort, name, called) in enumerate(wanted)
    ]
    series = [each for each in drawn if each["points"]]
    return _as_chart(one, series) | _marks(one, job) if series else None


def _marks(one: Picture, job: Job) -> dict[str, Any]:
    """The value at which a run ends, and the steps of its alarms, where the chart shows such."""
    ceiling = job.spec.get(one.ceiling) if one.ceiling else None
    alarms = (job.result or {}).get("alarms") or () if one.has_alarms else ()
    return {
        "ceiling": ceiling or None,
        "marks": [{"step": alarm["step"], "name": f"alarm: {alarm['sign']}"} for alarm in alarms],
    }


def _as_chart(one: Picture, series: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": one.id, "title": one.title, "unit": one.unit, "zero": one.is_from_zero, "series": series}


def _series(name: str, tone: int, points: Sequence[Point], *, is_apart: bool = False) -> dict[str, Any]:
    return {"name": name, "tone": tone, "apart": is_apart, "points": points}


def _total(job: Job) -> int:
    return int((job.result or {}).get("total_steps") or 0)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
