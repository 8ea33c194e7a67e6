"""A comparison as two files that a stranger can read and run again: `report.html`, and `report.json` for programs.

The page needs no script and asks for nothing outside of it. What models wrote in it is a stranger's: all is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2.sandbox import SandboxedEnvironment

from core import __version__
from core.comparison.columns import COLUMNS, Figure, best_of, row_of, sentence_of, without_quality
from core.comparison.drawing import HEIGHT, LEFT, TOP, WIDTH, drawings
from core.comparison.judge import Loss, loss_of
from core.comparison.sentences import headlines
from core.comparison.values import Comparison, Interval, LayerError, Output, Repeated, VariantResult, VariantState
from core.format import change, first_difference, percent, significant, small, written
from core.markup import environment
from core.spec import Spec, as_command

KIND = "compare"
HTML, JSON = "report.html", "report.json"
MOST_COMMAND = 20_000  # characters; Linux takes an argument of 128 KiB
PALEST = 12  # of 100: the smallest figure of a map is not nothing
MOST_SHOWN = 2_000  # characters of one value of the spec; all of it is in the JSON
NONE = "\u2013"
WAYS = {"greedy": "The likeliest words", "sampled": "Sampled"}


def write_report(folder: Path, job_id: str, spec: Spec, comparison: Comparison, made_at: float) -> None:
    """Write both files into `folder`.

    Args:
        made_at: Unix seconds.

    Raises:
        OSError: the disk does not take them.
    """
    body = as_json(job_id, spec, comparison, made_at)
    text = json.dumps(body, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / JSON).write_text(text + "\n", encoding="utf-8", errors="replace", newline="\n")
    page = as_html(job_id, spec, comparison, made_at)
    (folder / HTML).write_text(page + "\n", encoding="utf-8", errors="replace", newline="\n")


def as_json(job_id: str, spec: Spec, comparison: Comparison, made_at: float) -> dict[str, Any]:
    """The report for programs; `workbench submit compare --spec` takes it as it is."""
    return {
        "kind": KIND,
        "job": job_id,
        "made_at": moment(made_at),
        "workbench": __version__,
        "device": comparison.device,
        "versions": comparison.versions,
        "command": again(spec),
        "spec": spec.model_dump(mode="json"),
        "result": json.loads(comparison.model_dump_json()),  # what is no number becomes null
    }


def as_html(job_id: str, spec: Spec, comparison: Comparison, made_at: float) -> str:
    """The report for people."""
    fields = spec.model_dump(mode="json")
    return _environment().get_template(HTML).render(
        job_id=job_id,
        made_at=moment(made_at),
        version=__version__,
        model=str(fields.get("model", "")),
        found=comparison,
        said=headlines(comparison),
        columns=COLUMNS,
        rows=list(_rows(comparison)),
        without_quality=without_quality(comparison),
        drawings=drawings(comparison),
        frame={"width": WIDTH, "height": HEIGHT, "left": LEFT, "top": TOP},
        has_curves=any(one.points for one in comparison.curves),
        maps=list(_maps(comparison)),
        prompts=list(_outputs(comparison)),
        seed=fields.get("seed", ""),
        command=again(spec),
        by_file=f"workbench submit {KIND} --spec {JSON} --wait",
        spec=json.dumps(_shortened(fields), ensure_ascii=False, indent=2),
    )  # fmt: skip


def again(spec: Spec) -> str:
    """The command line that runs it again; "" where it would be too long for a shell, or could play with a terminal."""
    command = as_command(KIND, spec)
    is_plain = all(character.isprintable() or character == "\n" for character in command)
    return command if is_plain and len(command) <= MOST_COMMAND else ""


def moment(at: float) -> str:
    """A moment as ISO 8601, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Row:
    """One variant in the table: its figures, and which of them are best."""

    variant: VariantResult
    cells: tuple[tuple[Figure | None, bool], ...]
    loss: str
    sentence: str


@dataclass(frozen=True)
class HeatMap:
    """The errors of one variant's weights: a row for each kind of module, a column for each layer."""

    name: str
    layers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, int] | None, ...]], ...]
    """By module: the figure and how dark it is, up to 100; None where there is none."""
    note: str


@dataclass(frozen=True)
class Said:
    """What one variant answered, and in a word how it differs from the reference."""

    name: str
    text: str
    word: str
    why_not: str


def _rows(comparison: Comparison) -> Iterator[Row]:
    best = [best_of(column, comparison) for column in COLUMNS]
    for one in comparison.variants:
        is_told = one.state is VariantState.SUCCEEDED and one.name != comparison.reference
        loss = loss_of(one, comparison) if is_told else Loss.UNKNOWN
        figures = row_of(one, comparison, COLUMNS)
        cells = tuple((figure, one.name in names) for figure, names in zip(figures, best, strict=True))
        yield Row(one, cells, "" if loss is Loss.UNKNOWN else str(loss), sentence_of(one))


def _maps(comparison: Comparison) -> Iterator[HeatMap]:
    for one in comparison.variants:
        if not one.layers:
            continue
        worst = max(one.layers, key=lambda each: each.relative)
        where = f"layer {worst.layer}" if worst.layer is not None else "outside of the layers"
        note = f"The largest is {worst.module}, {where}: {100 * worst.relative:.3g} % of its weights' norm."
        yield _map(f"{one.name}: relative error of its weights, %", one, lambda each: 100 * each.relative, note)
        if any(each.outlier_columns for each in one.layers):
            kept, of = sum(each.outlier_columns or 0 for each in one.layers), sum(each.columns for each in one.layers)
            note = f"{kept:,} of {of:,} input columns were multiplied in 16 bit."
            yield _map(f"{one.name}: outlier columns", one, lambda each: each.outlier_columns, note)


def _map(name: str, one: VariantResult, of: Callable[[LayerError], float | None], note: str) -> HeatMap:
    values = {(each.module, each.layer): value for each in one.layers if (value := of(each)) is not None}
    numbers: list[int | None] = [*sorted({layer for _, layer in values if layer is not None})]
    numbers += [None] if any(layer is None for _, layer in values) else []
    least, most = min(values.values()), max(values.values())

    def cell(value: float | None) -> tuple[str, int] | None:
        if value is None:
            return None
        share = (value - least) / (most - least) if most > least else 1.0
        return f"{value:,}" if isinstance(value, int) else significant(value), round(PALEST + (100 - PALEST) * share)

    modules = dict.fromkeys(module for module, _ in values)
    rows = tuple((module, tuple(cell(values.get((module, number))) for number in numbers)) for module in modules)
    return HeatMap(name, tuple("outside" if number is None else str(number) for number in numbers), rows, note)


def _outputs(comparison: Comparison) -> Iterator[tuple[str, dict[str, list[Said]]]]:
    """Each prompt with what every variant made of it, by the way in which words were chosen."""
    prompts = dict.fromkeys(each.prompt for one in comparison.variants for each in one.samples)
    for prompt in prompts:
        there = [(one, each) for one in comparison.variants for each in one.samples if each.prompt == prompt]
        yield prompt, {title: _said(there, way, comparison.reference) for way, title in WAYS.items()}


def _said(there: Sequence[tuple[VariantResult, Output]], way: str, reference: str) -> list[Said]:
    base = next((getattr(each, way) for one, each in there if one.name == reference and not each.why_not), None)
    found = []
    for one, each in sorted(there, key=lambda pair: pair[0].name != reference):
        text = getattr(each, way)
        word = "" if base is None or each.why_not else _word(base, text, reference, is_it=one.name == reference)
        found.append(Said(one.name, text, word, each.why_not))
    return found


def _word(base: str, text: str, reference: str, *, is_it: bool) -> str:
    if is_it:
        return "reference"
    first = first_difference(base, text)
    return f"the same words as {reference}" if first is None else f"differs from word {first:,}"


def _shortened(fields: dict[str, Any]) -> dict[str, Any]:
    long = {name: value for name, value in fields.items() if isinstance(value, str) and len(value) > MOST_SHOWN}
    return fields | {
        name: f"{value[:MOST_SHOWN]}… ({len(value):,} characters, whole in {JSON})" for name, value in long.items()
    }


@cache
def _environment() -> SandboxedEnvironment:
    found = environment(Path(__file__).parent, SandboxedEnvironment, finalize=_visible)
    found.filters |= {
        "written": lambda figure: written(*figure),
        "interval": _interval,
        "repeated": _repeated,
        "small": small,
        "change": change,
        "percent": percent,
        "significant": significant,
    }
    return found


def _visible(value: Any) -> Any:
    """What is shown; of text without the control characters that some readers act upon."""
    if not isinstance(value, str) or value.isprintable():
        return value
    shown = "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in value)
    return type(value)(shown)


def _interval(one: Interval | None, shown: Callable[[float], str] = small) -> str:
    return NONE if one is None else f"{shown(one.value)} ({shown(one.low)} to {shown(one.high)})"


def _repeated(one: Repeated | None, unit: str) -> str:
    if one is None:
        return NONE
    return written(one.value, unit) + (f" ± {written(one.spread, unit)} (n = {one.n})" if one.n > 1 else " (once)")
