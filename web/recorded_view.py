"""A recording as pages show it: the list, and a job as a score that the browser plays.

A score holds each fragment with the moments at which it changes, the curves with the moments of their steps, and how
the text came. It never changes, so it is made once for all visitors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from core.client import Workbench
from core.recording.file import Shelf
from core.recording.replay import Replay
from core.recording.values import Machine, RecordedJob, Recording, Words
from core.store.queries import AttemptInfo
from core.values import Job
from web import compare_view, job_view, pipeline_view, train_view, words
from web.compare_advice import render_recommended
from web.format import written
from web.headlines import headline
from web.recorded_markup import read_only
from web.templates import fragment
from web.train_curves import curves_of

SPEEDS = (1, 10, 60)
LONG_S, SHORT_S = 300.0, 60.0
MOST_HEADLINE = 240  # characters
NOT_SHOWN = ("title", "chip", "brief", "about", "files", "curves", "curves_file")
TIMES = {
    Words.STREAM: "Its text comes as it came.",
    Words.RECONSTRUCTED: "Its text comes at the speed that was measured: the moments of its words were not kept.",
}
OPENS = {"generate": "/", "compare": "/compare", "pipeline": "/pipelines"}
"""Where a form is that a recording can fill in."""


@dataclass(frozen=True)
class Row:
    """A recording in the list."""

    title: str
    kind: str
    link: str
    headline: str
    made: str
    steps: tuple[tuple[str, str], ...]


def rows_of(shelf: Shelf) -> list[Row]:
    """Every recording that can be shown: whole pipelines first, and then what ran longest."""
    found = sorted((one for _, _, one in shelf.readable()), key=lambda one: (len(one.jobs), one.seconds), reverse=True)
    return [_row(one) for one in found]


def render_list(shelf: Shelf) -> str:
    """The list as a fragment."""
    return fragment("recorded_list", rows=rows_of(shelf))


def _row(recording: Recording) -> Row:
    job = recording.whole
    return Row(
        title=recording.title,
        kind=job.kind,
        link=address(recording),
        headline=headline_of(job),
        made=f"{mark_of(recording)} · ran {written(recording.seconds, 's')}",
        steps=tuple((one.job.step or "", address(recording, one.job.step or "")) for one in recording.jobs[1:]),
    )


def headline_of(job: Job) -> str:
    """What came of it, in a sentence."""
    match job.kind:
        case compare_view.KIND:
            return next(iter(compare_view.said(job)), "")
        case pipeline_view.KIND:
            found = pipeline_view.report_of(job)
            return found.text if found else ""
        case kind if kind in train_view.TRAINING:
            return train_view.headline(job)
    said = headline(job) or str((job.result or {}).get("text") or "")
    return said if len(said) <= MOST_HEADLINE else f"{said[:MOST_HEADLINE]}…"


def address(recording: Recording, step: str = "") -> str:
    """Where a recording, or a step of it, is shown."""
    return f"/recorded?{urlencode({'run': recording.name} | ({'step': step} if step else {}))}"


def mark_of(recording: Recording) -> str:
    """What no recording is shown without: that it is one, of which day and of which machine."""
    day = datetime.fromtimestamp(recording.whole.created_at, UTC)
    return f"Recorded on {day.day} {day:%b %Y} on {machine_said(recording.machine)}"


def machine_said(machine: Machine) -> str:
    """A machine in words: AMD EPYC, 2 cores, 25.3 GB of memory."""
    memory = written(machine.memory_bytes, "bytes") if machine.memory_bytes else ""
    of_what = {"gpu": "of GPU memory", "host": "of memory"}.get(machine.memory_kind, "of memory")
    cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}" if machine.cores else ""
    return ", ".join(
        part
        for part in (machine.device or "a machine that is not known", cores, f"{memory} {of_what}" if memory else "")
        if part
    )


def score(client: Workbench, recording: Recording, step: str = "") -> dict[str, Any]:
    """All that a browser needs to show a job of a recording at any moment of its life."""
    replay = Replay(recording, step)
    places = {one.job.id: address(recording, _step_of(recording, one)) for one in recording.jobs}
    return {
        "title": recording.title,
        "seconds": replay.seconds,
        "speed": SPEEDS[(replay.seconds > SHORT_S) + (replay.seconds > LONG_S)],
        "mark": _mark(client, recording, replay, step),
        "parts": _frames(client, recording, replay, step, places),
        "curves": json.loads(curves_of(replay.job, replay.recorded.metrics) or "null"),
        "clock": _clock(replay),
        "text": _text(replay),
    }


def _step_of(recording: Recording, one: RecordedJob) -> str:
    return "" if one is recording.jobs[0] else one.job.step or ""


def _mark(client: Workbench, recording: Recording, replay: Replay, step: str) -> str:
    text, job = replay.recorded.text, replay.job
    about_times = TIMES[text.words] if text else ""
    if job.kind == compare_view.KIND:
        about_times = "When each variant appears follows from how long it took; its figures are those of the run."
    return fragment(
        "recorded_mark",
        mark=mark_of(recording),
        recording=recording,
        about_times=about_times,
        speeds=SPEEDS,
        steps=[(name, address(recording, name)) for one in recording.jobs[1:] if (name := one.job.step or "")],
        step=step,
        whole=address(recording),
        same_here="" if step else same_here(client, recording),
    )


def same_here(client: Workbench, recording: Recording) -> str:
    """The form that is filled in as the recorded job had it; "" where there is none, or its kind is closed here."""
    kind = recording.whole.kind
    is_open = kind != "pipeline" or client.settings.training
    return f"{OPENS[kind]}?{urlencode({'recorded': recording.name})}" if kind in OPENS and is_open else ""


def _frames(
    client: Workbench, recording: Recording, replay: Replay, step: str, places: Mapping[str, str]
) -> dict[str, list[tuple[float, str]]]:
    """By fragment, the moments at which it changes, and what it is from then on."""
    frames: dict[str, list[tuple[float, str]]] = {}
    seen: dict[str, str] = {}
    for at in replay.moments():
        for name, html in _parts(client, recording, replay, step, at).items():
            if seen.get(name) != html:
                seen[name] = html
                frames.setdefault(name, []).append((at, html if name == "state" else read_only(html, places)))
    return frames


def _parts(client: Workbench, recording: Recording, replay: Replay, step: str, at: float) -> dict[str, str]:
    job = replay.at(at)
    seen = job_view.Seen(
        job=job,
        events=replay.events(at),
        attempts=tuple(_attempts(replay.recorded)),
        place=None,
        runs_now="",
        has_worker=True,
        is_live=True,
        command=job_view.command_of(client, job) if not step else "",
        evaluations=replay.evaluations(at),
    )
    parts = {name: html for name, html in job_view.render(seen, may_change=False).items() if name not in NOT_SHOWN}
    if job.kind == compare_view.KIND:
        parts["compare_advice"] = render_recommended(job) if job.state.is_finished else ""
    title = fragment(
        "recorded_title", job=job, chip=words.chip(job), recording=recording, step=step, whole=address(recording)
    )
    return {"title": title} | parts


def _attempts(recorded: RecordedJob) -> Iterator[AttemptInfo]:
    for one in recorded.attempts:
        yield AttemptInfo(one.attempt, "", one.device, one.started_at, one.ended_at, one.outcome, None)


def _clock(replay: Replay) -> dict[str, list[tuple[int, float]]]:
    """By sort of metric, when each step was logged: its curves grow by it."""
    metrics = replay.recorded.metrics
    return {
        sort: [(one.step, replay.since(one.at)) for one in metrics if one.sort == sort]
        for sort in dict.fromkeys(one.sort for one in metrics)
    }


def _text(replay: Replay) -> dict[str, Any]:
    """The text and how much of it was there when; nothing for a job that writes none as it goes."""
    recorded = replay.recorded
    whole = str((replay.job.result or {}).get("text") or "")
    if recorded.text is None:
        return {}
    return {"whole": whole, "pieces": [(replay.since(at), n) for at, n in recorded.text.pieces]}
