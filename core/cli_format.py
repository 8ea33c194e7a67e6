"""A job as a terminal shows it, and as a program reads it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from core.values import Event, Job, Measurement


def print_json(job: Job, **further: Any) -> None:
    """One JSON object on one line of stdout."""
    click.echo(json.dumps({**job.model_dump(mode="json"), **further}, ensure_ascii=False))


def plain(text: str) -> str:
    """Text that a model wrote, without the control characters by which it could play with a terminal."""
    if not sys.stdout.isatty():
        return text
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


def line_of(job: Job) -> str:
    """A job on one line of a list."""
    return f"{job.id}  {job.state:<9}  {job.kind:<10}  {moment(job.created_at)}  {plain(job.name)}"


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
    """A measurement on one line."""
    value = f"{measured.value / 1e9:.2f} GB" if measured.unit == "bytes" else f"{measured.value:.4g} {measured.unit}"
    spread = f" ± {measured.spread:.2g} (n = {measured.n})" if measured.spread is not None else ""
    return f"{measured.name:<22} {value}{spread}"


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
    yield "Progress", job.progress.message if job.progress else ""
    yield "Retry of", job.retry_of or ""
    yield "Note", plain(job.note)


def _spec(job: Job) -> str:
    told = {name: value for name, value in job.spec.items() if value not in (None, "", [])}
    return "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in told.items())


def _result(job: Job) -> str:
    if not job.result:
        return ""
    rest = {name: value for name, value in job.result.items() if name != "text"}
    text = plain(str(job.result.get("text", "")))
    return f"{text}\n{json.dumps(rest, ensure_ascii=False)}".strip()


def _event(event: Event) -> str:
    data = f"  {json.dumps(event.data, ensure_ascii=False)}" if event.data else ""
    return f"{moment(event.at)}  {event.kind}{data}"


def _block(title: str, text: str) -> str:
    indented = "\n".join(f"  {line}" for line in text.splitlines())
    return f"\n{title}\n{indented}\n" if text else ""
