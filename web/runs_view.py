"""The list of jobs as it is shown: a row, what stands below the rows, and the figures in the bar of every page."""

from __future__ import annotations

import json
from collections.abc import Sequence

from core.client import Workbench
from core.modes import Mode
from core.states import State
from core.store.queries import JobFilter
from core.store.standing import Ended
from core.store.workers import WorkerInfo
from core.values import Job
from web import words
from web.format import kind_title, written
from web.job_view import made_by, tokens_of
from web.templates import fragment
from web.train_results import result_of

LATELY_S = 600.0  # who comes back later sees it under Runs
LONG_S = 30.0
MOST_NOTICES = 5


def render_row(job: Job, *, is_shared: bool = False) -> str:
    """The cells of a job; with its owner where the list holds those of several."""
    made, trained = made_by(job), result_of(job)
    pace = trained.tokens_per_s if trained else 0.0
    return fragment(
        "row",
        job=job,
        is_shared=is_shared,
        words=words,
        chip=words.chip(job),
        below=below(job),
        precision=made.precision if made else trained.base_dtype if trained else "",
        speed=_figure(job, "tokens_per_s") or (written(pace, "tokens/s") if pace else ""),
        peak=_figure(job, "peak_bytes") or _figure(job, "load_peak_bytes"),
    )


def below(job: Job) -> str:
    """The line under a job's name: how far it is, why it waits, or what went wrong."""
    if job.error:
        return job.error.message
    if job.state is State.QUEUED and job.waiting_reason:
        return f"waits for memory: {job.waiting_reason}"
    progress = words.under_way(job)
    if progress and progress.message:
        return progress.message
    tokens = tokens_of(job)
    if job.state is State.CANCELLED and job.started_at:
        return f"stopped after {tokens[0]:,} tokens; the text is kept" if tokens else "stopped before it wrote anything"
    return ""


def render_foot(client: Workbench, wanted: JobFilter, jobs: Sequence[Job], *, has_older: bool) -> str:
    """What stands below the rows: how many there are, the way to older ones, or what an empty list means."""
    return fragment(
        "foot",
        n_shown=len(jobs),
        n_all=client.count(wanted) if jobs else 0,
        oldest=jobs[-1].id if has_older else "",
        is_filtered=wanted != JobFilter(),
    )


def render_bar(client: Workbench) -> str:
    """One's own jobs that are under way, and the memory of the device that answers."""
    mine = client.who.name
    worker = _shown(client.workers())
    held = {(one.card, one.key) for one in client.store.holdings() if not one.is_loading}
    return fragment(
        "bar",
        me=mine,
        n_running=client.count(JobFilter(state=State.RUNNING, owner=mine)),
        n_queued=client.count(JobFilter(state=State.QUEUED, owner=mine)),
        worker=worker,
        n_held=len(held),
        signs_in=client.settings.mode is Mode.TEAM,
    )


def render_ended(client: Workbench) -> str:
    """The long jobs of one's own that have just ended, for the notices: read as JSON, and written as text there."""
    ended = client.store.ended_lately(client.who.name, LATELY_S, LONG_S, MOST_NOTICES)
    told = [{"id": one.id, "kind": kind_title(one.kind), "name": _named(one), "state": one.state} for one in ended]
    return json.dumps(told, ensure_ascii=False)


def _named(one: Ended) -> str:
    return one.name.removeprefix(f"{one.kind} ") or one.name


def _shown(workers: Sequence[WorkerInfo]) -> WorkerInfo | None:
    return next((worker for worker in workers if worker.queue == "interactive"), workers[0] if workers else None)


def _figure(job: Job, name: str) -> str:
    found = next((m for m in job.measurements if m.name == name), None)
    return written(*((found.value, found.unit) if found else (0, ""))) if found else ""
