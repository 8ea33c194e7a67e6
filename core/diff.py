"""Two to eight jobs side by side: where their specs differ, which figures moved beyond their spread, what each wrote.

All is held against the first job. Nothing here is drawn or printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from math import isclose
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from core.comparison.columns import COLUMNS, Figure, best
from core.comparison.judge import ended, measured
from core.comparison.values import Comparison
from core.errors import BadInput
from core.format import written
from core.states import State
from core.values import Job, Measurement

if TYPE_CHECKING:
    from core.client import Workbench
    from core.jobs import Kinds

LEAST, MOST = 2, 8
LETTERS = "ABCDEFGH"
COMPARE = "compare"
DIGITS = 1e-6  # two figures that are no counts are the same to six digits
OF_PROCESS = (
    "peak_bytes", "load_peak_bytes", "held_bytes", "process_bytes", "resident_bytes", "driver_bytes", "reserved_bytes",
    "allocated_bytes",
)  # fmt: skip
WAYS = {"greedy": "the likeliest words", "sampled": "sampled"}


class Absent(Enum):
    """Stands where a job has no such field; null is a value."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


class Moved(StrEnum):
    """A figure against that of the first job."""

    SAME = "the same"
    WITHIN = "within the spread"
    MOVED = "beyond the spread"
    UNKNOWN = "measured once, so its spread is not known"


@dataclass(frozen=True)
class Side:
    """One of the jobs, by its letter."""

    letter: str
    job: Job
    device: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Field:
    """A field of the specs that is not the same in all."""

    path: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Cell:
    """A figure of one job; `moved` None: it is the first one's, or the first has none."""

    figure: Figure
    is_best: bool
    moved: Moved | None


@dataclass(frozen=True)
class Row:
    """One figure of every job; `of` is the variant of a comparison that it is of, `title` "" where its name says it."""

    of: str
    name: str
    title: str
    unit: str
    cells: tuple[Cell | None, ...]

    @property
    def has_moved(self) -> bool:
        """Whether one lies beyond the spread."""
        return any(cell is not None and cell.moved is Moved.MOVED for cell in self.cells)


@dataclass(frozen=True)
class Answer:
    """What the jobs wrote to one prompt, None where it was not asked; `of` says of which variant, and how chosen."""

    prompt: str
    of: str
    texts: tuple[str | None, ...]


@dataclass(frozen=True)
class Diff:
    """The jobs side by side."""

    sides: tuple[Side, ...]
    warnings: tuple[str, ...]
    spec: tuple[Field, ...]
    figures: tuple[Row, ...]
    answers: tuple[Answer, ...]

    @property
    def moved(self) -> tuple[Row, ...]:
        """The figures of which one lies beyond the spread."""
        return tuple(row for row in self.figures if row.has_moved)

    def as_json(self) -> dict[str, Any]:
        """As a program reads it."""
        return {
            "jobs": [_side_as_json(side) for side in self.sides],
            "warnings": list(self.warnings),
            "spec": [{"field": one.path, "values": self._lettered(one.values)} for one in self.spec],
            "figures": [self._row_as_json(row) for row in self.figures],
            "samples": [
                {"prompt": one.prompt, "of": one.of, "texts": self._lettered(one.texts, None)} for one in self.answers
            ],
        }

    def _lettered(self, values: Sequence[Any], lacking: Any = ABSENT) -> dict[str, Any]:
        return {side.letter: value for side, value in zip(self.sides, values, strict=True) if value is not lacking}

    def _row_as_json(self, row: Row) -> dict[str, Any]:
        cells = self._lettered(row.cells, None)
        return {
            "of": row.of,
            "name": row.name,
            "unit": row.unit,
            "values": {letter: _figure_as_json(cell.figure) for letter, cell in cells.items()},
            "best": [letter for letter, cell in cells.items() if cell.is_best],
            "moved": {letter: _has_moved(cell.moved) for letter, cell in cells.items() if cell.moved is not None},
        }


def side_by_side(workbench: Workbench, jobs: Sequence[str]) -> Diff:
    """The jobs of these ids, or last characters of ids.

    Raises:
        BadInput: fewer than two, more than eight, or one of them twice.
        NotFound: one is not there or not to be seen.
    """
    if not LEAST <= len(jobs) <= MOST:
        raise BadInput(f"Two to eight jobs are set side by side, not {len(jobs)}.", "Name them by their ids.")
    return diff([workbench.show(job) for job in jobs], workbench.kinds)


def diff(jobs: Sequence[Job], kinds: Kinds) -> Diff:
    """The jobs side by side, in this order.

    Raises:
        BadInput: one of them is there twice.
    """
    twice = [job for job, n in Counter(job.id for job in jobs).items() if n > 1]
    if twice:
        raise BadInput(f"Job {twice[0]} is named twice.", "A job differs from itself in nothing.")
    found = [comparison_of(job) for job in jobs]
    sides = tuple(Side(letter, job, _device(job), _versions(job)) for letter, job in zip(LETTERS, jobs, strict=False))
    answers = tuple(_answers(jobs, found))
    return Diff(
        sides=sides,
        warnings=tuple(_warnings(sides, found, answers)),
        spec=tuple(_fields(jobs, kinds)),
        figures=(*_measured(jobs), *_of_variants(found)),
        answers=answers,
    )


def comparison_of(job: Job) -> Comparison | None:
    """What a comparison has found; None where the job is none, or one that this version cannot read."""
    if job.kind != COMPARE or not job.result:
        return None
    try:
        found = Comparison.model_validate(job.result)
    except ValidationError:
        return None
    return found.model_copy(update={"variants": ended(found.variants)}) if job.state.is_finished else found


# specs


def _fields(jobs: Sequence[Job], kinds: Kinds) -> Iterator[Field]:
    specs = [_ordered(job, kinds) for job in jobs]
    for name in dict.fromkeys(name for spec in specs for name in spec):
        flat = [dict(_flat(spec[name], name)) if name in spec else {} for spec in specs]
        if any(len(one) > 1 for one in flat):
            flat = [{path: value for path, value in one.items() if path != name} for one in flat]  # what is empty
        for path in dict.fromkeys(path for one in flat for path in one):
            values = tuple(one.get(path, ABSENT) for one in flat)
            if any(value != values[0] for value in values):
                yield Field(path, values)


def _ordered(job: Job, kinds: Kinds) -> dict[str, Any]:
    """The spec in the order of its kind's fields: PostgreSQL gives keys back in an order of its own."""
    names = next((list(kind.spec.model_fields) for kind in kinds if kind.name == job.kind), [])
    return {name: job.spec[name] for name in (*names, *sorted(job.spec.keys() - set(names))) if name in job.spec}


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each plain value with its path; a list of plain values is one, and so is what is empty."""
    inner: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        inner = list(enumerate(value, 1))
    if not inner:
        yield path, value
    for name, one in inner:
        yield from _flat(one, f"{path}.{name}")


# figures


def _measured(jobs: Sequence[Job]) -> Iterator[Row]:
    named = [{(one.name, one.unit): one for one in job.measurements} for job in jobs]
    for name, unit in dict.fromkeys(key for one in named for key in one):
        there = [one.get((name, unit)) for one in named]
        figures = [None if one is None else _figure(one) for one in there]
        yield _row("", name, "", unit, figures, _is_less_better(unit), _is_exact(name, unit))


def _is_exact(name: str, unit: str) -> bool:
    """Whether it is counted; times and what a process takes come out otherwise each time."""
    return not (unit == "s" or unit.endswith("/s") or name in OF_PROCESS)


def _figure(one: Measurement) -> Figure:
    notes = [f"± {written(one.spread, one.unit)}"] if one.spread is not None and one.n > 1 else []
    notes += [f"pred. {written(one.predicted, one.unit)}"] if one.predicted is not None else []
    low, high = (
        (one.value - one.spread, one.value + one.spread) if one.spread is not None and one.n > 1 else (None, None)
    )
    return Figure(written(one.value, one.unit), one.value, ", ".join(notes), low, high, predicted=one.predicted)


def _is_less_better(unit: str) -> bool | None:
    if unit.endswith("/s"):
        return False
    return True if unit in ("s", "bytes") else None


def _of_variants(found: Sequence[Comparison | None]) -> Iterator[Row]:
    """The figures of comparisons, by the names of those variants that two of them or more have measured."""
    named = [{one.name: one for one in measured(each)} if each else {} for each in found]
    times = Counter(name for one in named for name in one)
    for name in (name for name, n in times.items() if n > 1):
        for column in COLUMNS:
            figures = [
                column.of(one[name], each) if each and name in one else None
                for one, each in zip(named, found, strict=True)
            ]
            figures = [None if one is None or one.is_predicted else one for one in figures]
            if any(figures):
                yield _row(name, column.name, column.title, "", figures, column.is_less_better, column.is_exact)


def _row(
    of: str,
    name: str,
    title: str,
    unit: str,
    figures: Sequence[Figure | None],
    is_less_better: bool | None,
    is_exact: bool,
) -> Row:
    leading = best(dict(enumerate(figures)), is_less_better)
    cells = tuple(
        None if one is None else Cell(one, n in leading, _moved(figures[0], one, is_exact) if n else None)
        for n, one in enumerate(figures)
    )
    return Row(of, name, title, unit, cells)


def _moved(first: Figure | None, other: Figure, is_exact: bool) -> Moved | None:
    if first is None:
        return None
    has_no_spread = first.low is None and other.low is None
    if _is_same(first.value, other.value) or (has_no_spread and not is_exact and first.text == other.text):
        return Moved.SAME
    if has_no_spread:
        return Moved.MOVED if is_exact else Moved.UNKNOWN
    (low, high), (least, most) = _ends(first), _ends(other)
    return Moved.WITHIN if low <= most and least <= high else Moved.MOVED


def _is_same(one: float, other: float) -> bool:
    is_count = float(one).is_integer() and float(other).is_integer()
    return one == other if is_count else isclose(one, other, rel_tol=DIGITS)


def _ends(one: Figure) -> tuple[float, float]:
    return (one.value if one.low is None else one.low), (one.value if one.high is None else one.high)


# samples


def _answers(jobs: Sequence[Job], found: Sequence[Comparison | None]) -> Iterator[Answer]:
    told = [_told(job, each) for job, each in zip(jobs, found, strict=True)]
    for key in dict.fromkeys(key for one in told for key in one):
        _, prompt, of, _ = key
        yield Answer(prompt, of, tuple(one.get(key) for one in told))


Key = tuple[str, str, str, int]
"""What stood before the prompt, the prompt, of which variant, and which time it was asked."""


def _told(job: Job, found: Comparison | None) -> dict[Key, str]:
    if found is not None:
        return {
            ("", each.prompt, f"{one.name}, {title}", 0): getattr(each, way)
            for one in found.variants
            for each in one.samples
            if not each.why_not
            for way, title in WAYS.items()
        }
    told: dict[Key, str] = {}
    times: Counter[tuple[str, str]] = Counter()
    for sample in job.samples:
        turns = [(turn.role, turn.content) for turn in sample.messages]
        prompt = sample.prompt if sample.prompt is not None else (turns.pop()[1] if turns else "")
        before = repr(turns) if turns else ""
        told[before, prompt, "", times[before, prompt]] = sample.completion
        times[before, prompt] += 1
    return told


# warnings


def _warnings(sides: Sequence[Side], found: Sequence[Comparison | None], answers: Sequence[Answer]) -> Iterator[str]:
    if len({side.job.kind for side in sides}) > 1:
        yield f"These are jobs of several kinds: {_each(sides, lambda side: side.job.kind)}."
    for side in sides:
        if not side.job.state.is_finished:
            yield f"{side.letter} has not ended: this is what there is by now."
        elif side.job.state is not State.SUCCEEDED:
            ended = "failed" if side.job.state is State.FAILED else "was cancelled"
            yield f"{side.letter} {ended}: this is what it kept."
    if _differ(side.device for side in sides if side.device):
        yield f"The devices differ: {_each(sides, lambda side: side.device)}. Speed and memory do not compare."
    yield from _versions_differ(sides)
    yield from _prompts_differ(answers)
    yield from _seeds_differ(sides)
    yield from _scored_differently(sides, found)
    yield from _measured_alone(sides, found)


def _versions_differ(sides: Sequence[Side]) -> Iterator[str]:
    names = sorted({name for side in sides for name in side.versions})
    differing = [
        f"{name} ({', '.join(f'{side.letter} {side.versions[name]}' for side in sides if name in side.versions)})"
        for name in names
        if _differ(side.versions[name] for side in sides if name in side.versions)
    ]
    if differing:
        yield f"The versions differ: {', '.join(differing)}."


def _prompts_differ(answers: Sequence[Answer]) -> Iterator[str]:
    shared: dict[str, bool] = {}
    for one in answers:
        shared[one.prompt] = shared.get(one.prompt, False) or None not in one.texts
    if all(shared.values()):
        return
    n = sum(shared.values())
    said = f"only {n} of {len(shared)} was" if n == 1 else f"only {n} of {len(shared)} were" if n else "none was"
    yield f"The prompts differ: {said} answered by all."


def _seeds_differ(sides: Sequence[Side]) -> Iterator[str]:
    seeds = [{one.made_by.seed for one in side.job.samples} - {None} for side in sides]
    if _differ(frozenset(one) for one in seeds if one):
        yield "The seeds differ: words that were sampled may be others by chance alone."


def _scored_differently(sides: Sequence[Side], found: Sequence[Comparison | None]) -> Iterator[str]:
    scored = [each.evaluation for each in found if each and each.evaluation]
    if _differ((one.sha256, one.window, one.stride, one.n_scored) for one in scored):
        yield "They were scored on different texts, or on other parts of one: perplexities do not compare."
    if _differ(each.reference for each in found if each and each.reference):
        held = {side.letter: each.reference for side, each in zip(sides, found, strict=True) if each}
        shown = ", ".join(f"{letter} {name}" for letter, name in held.items())
        yield f"The references differ ({shown}): what stands against one does not compare."


def _measured_alone(sides: Sequence[Side], found: Sequence[Comparison | None]) -> Iterator[str]:
    named = {side.letter: [one.name for one in measured(each)] for side, each in zip(sides, found, strict=True) if each}
    times = Counter(name for names in named.values() for name in names)
    for letter, names in named.items() if len(named) > 1 else ():
        if alone := [name for name in names if times[name] == 1]:
            yield f"Only {letter} measured {', '.join(alone)}: that is not shown."


def _each(sides: Sequence[Side], of: Callable[[Side], str]) -> str:
    return ", ".join(f"{side.letter} {of(side) or 'not known'}" for side in sides)


def _differ(values: Iterator[Any]) -> bool:
    return len(set(values)) > 1


def _device(job: Job) -> str:
    """What it ran on, as far as its outputs or its result tell."""
    if job.samples:
        return job.samples[0].made_by.device
    return str((job.result or {}).get("device") or "")


def _versions(job: Job) -> Mapping[str, str]:
    if job.samples:
        return job.samples[0].made_by.versions
    told = (job.result or {}).get("versions")
    return {str(name): str(version) for name, version in told.items()} if isinstance(told, dict) else {}


def _side_as_json(side: Side) -> dict[str, Any]:
    job = side.job
    return {
        "letter": side.letter,
        "id": job.id,
        "kind": job.kind,
        "name": job.name,
        "state": job.state,
        "model": job.model,
        "device": side.device,
        "versions": dict(side.versions),
    }


def _figure_as_json(one: Figure) -> dict[str, Any]:
    return {"value": one.value, "low": one.low, "high": one.high, "predicted": one.predicted}


def _has_moved(moved: Moved | None) -> bool | None:
    return None if moved is Moved.UNKNOWN else moved is Moved.MOVED
