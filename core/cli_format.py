"""A job as a terminal shows it, and as a program reads it."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from core.values import Event, Job, Measurement

INDENT = 2
MOST_SHOWN = 2_000  # characters of one value of a spec
NARROW, WIDE = 40, 240  # columns of a terminal: what a table can be squeezed to, and what a file takes


def print_json(job: Job, **further: Any) -> None:
    """One JSON object on one line of stdout."""
    click.echo(json.dumps({**job.model_dump(mode="json"), **further}, ensure_ascii=False))


def plain(text: str) -> str:
    """Text that a model wrote, without the control characters by which it could play with a terminal."""
    return clean(text) if sys.stdout.isatty() else text


def clean(text: str) -> str:
    """The same wherever it goes: a table holds no control characters."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str] = (), indent: int = 0) -> str:
    """Columns as wide as their widest entry; on a terminal that is narrower they fold.

    Args:
        numbers: titles of columns that stand to the right.
        indent: columns of the terminal that whoever prints it puts before each line.
    """
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in head:
        made.add_column(Text(title), justify="right" if title in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(clean(cell)) for cell in row))
    width = shutil.get_terminal_size().columns - indent if sys.stdout.isatty() else WIDE
    out = StringIO()
    Console(file=out, width=max(width, NARROW), color_system=None).print(made)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def line_of(job: Job) -> str:
    """A job on one line of a list."""
    return f"{job.id}  {job.state:<9}  {job.kind:<10}  {moment(job.created_at)}  {clean(job.name)}"


def page_of(job: Job, events: Sequence[Event]) -> str:
    """All of a job that a person wants to see."""
    parts = [
        f"{plain(job.name)}\n",
        *(f"{title + ':':<10} {value}\n" for title, value in _facts(job) if value),
        _block("Spec", _spec(job)),
        _block("Result", _result(job)),
        _block("Measured", "\n".join(map(figure, job.measurements))),
        _block("Error", f"{job.error.message}\n{job.error.hint}".strip() if job.error else ""),
        _block("History", "\n".join(_event(event) for event in events)),
    ]
    return "".join(parts).rstrip()


def figure(measured: Measurement) -> str:
    """A measurement on one line, beside what was predicted."""
    spread = f" ± {measured.spread:.2g} (n = {measured.n})" if measured.spread is not None else ""
    line = f"{measured.name:<25} {_quantity(measured.value, measured.unit)}{spread}"
    return line if measured.predicted is None else f"{line:<45} predicted {_beside(measured, measured.predicted)}"


def _beside(measured: Measurement, predicted: float) -> str:
    said = _quantity(predicted, measured.unit)
    return f"{said} ({predicted / measured.value - 1:+.1%})" if measured.value else said


def _quantity(value: float, unit: str) -> str:
    from core.memory.formula import number, size

    if unit in ("bytes", "bytes/s"):
        return size(value) + unit.removeprefix("bytes")
    return f"{number(value)} {unit}" if abs(value) >= 1e6 else f"{value:.4g} {unit}"


def moment(at: float | None) -> str:
    """Local time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""


def _facts(job: Job) -> Iterator[tuple[str, str]]:
    yield "Job", f"{job.id}, {job.kind}, of {job.owner}"
    yield "State", job.state + (f" (attempt {job.attempt})" if job.attempt > 1 else "")
    yield "Model", job.model
    yield "Worker", job.worker or ""
    yield "Submitted", moment(job.created_at)
    yield "Took", f"{job.finished_at - job.started_at:.1f} s" if job.finished_at and job.started_at else ""
    yield "Waits", job.waiting_reason if job.state == "queued" else ""
    yield "Progress", job.progress.message if job.progress else ""
    yield "Retry of", job.retry_of or ""
    yield "Note", plain(job.note)


def _spec(job: Job) -> str:
    told = {name: value for name, value in job.spec.items() if value not in (None, "", [])}
    return "\n".join(f"{name} = {_shortened(json.dumps(value, ensure_ascii=False))}" for name, value in told.items())


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}… ({len(text):,} characters, whole with --json)"


def _result(job: Job) -> str:
    from core.cli_printers import printer_of

    if not job.result:
        return ""
    printer = printer_of(job.kind)
    if printer and (said := printer.result(job, indent=INDENT)) is not None:
        return said
    rest = {name: value for name, value in job.result.items() if name != "text"}
    text = plain(str(job.result.get("text", "")))
    return f"{text}\n{json.dumps(rest, ensure_ascii=False)}".strip()


def _event(event: Event) -> str:
    data = f"  {json.dumps(event.data, ensure_ascii=False)}" if event.data else ""
    return f"{moment(event.at)}  {event.kind}{data}"


def _block(title: str, text: str) -> str:
    indented = "\n".join(f"{' ' * INDENT}{line}".rstrip() for line in text.splitlines())
    return f"\n{title}\n{indented}\n" if text else ""
