"""A job wherever it is shown: read once, rendered as fragments in the order of every page.

Title, now, result, figures, made by, trouble, what happened: a page is a layout with a place for each fragment that it
wants. The live text of a job is no fragment; it comes beside them, in pieces.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from core.client import Workbench
from core.errors import WorkbenchError
from core.spec import as_command, parse_spec
from core.states import State
from core.store.queries import AttemptInfo, JobFilter, Place
from core.values import Event, Job, MadeBy, Message, Visibility
from web import words
from web.templates import fragment


@dataclass(frozen=True)
class Seen:
    """All that the pages say of one job, at one moment."""

    job: Job
    events: tuple[Event, ...]
    attempts: tuple[AttemptInfo, ...]
    place: Place | None
    runs_now: str  # the name of a job that holds the worker meanwhile
    has_worker: bool
    is_live: bool
    command: str


def look(client: Workbench, job_id: str, is_live: bool) -> Seen:
    """Read a job for all its viewers; whether each may see it was asked when its socket opened.

    Raises:
        NotFound: it has been deleted.
    """
    store = client.store
    job = store.job(job_id)
    is_waiting = job.state is State.QUEUED
    return Seen(
        job=job,
        events=tuple(store.events(job_id)),
        attempts=tuple(store.attempts(job_id)),
        place=store.place(job_id) if is_waiting else None,
        runs_now=_runs_now(client, job) if is_waiting else "",
        has_worker=not is_waiting or any(worker.queue == job.queue for worker in store.workers()),
        is_live=is_live,
        command=command_of(client, job),
    )


def command_of(client: Workbench, job: Job) -> str:
    """The command line that submits the same; "" where this version no longer knows the kind or its fields."""
    try:
        return as_command(job.kind, parse_spec(client.kinds[job.kind].spec, job.spec))
    except WorkbenchError:
        return ""


def render(seen: Seen, *, may_change: bool) -> dict[str, str]:
    """The fragments of a job."""
    job, chip = seen.job, words.chip(seen.job)
    return {
        "title": fragment("title", job=job, chip=chip, seen=seen, may_change=may_change),
        "chip": fragment("chip", job=job, chip=chip, may_change=may_change),
        "now": "" if job.state.is_finished else fragment("now", job=job, sentence=now_sentence(seen), seen=seen),
        "conversation": fragment("conversation", job=job, turns=turns_of(job)),
        "figures": fragment("figures", job=job, words=words, tokens=tokens_of(job)),
        "made": fragment(
            "made", job=job, words=words, made_by=made_by(job), command=seen.command, as_json=as_json(job)
        ),
        "trouble": fragment("trouble", job=job, traceback=traceback_of(seen)) if job.error else "",
        "happened": fragment("happened", events=seen.events, happened=words.happened),
        "about": fragment("about", job=job, may_change=may_change),
        "state": job.state.value,
    }


def now_sentence(seen: Seen) -> str:
    """What is going on, and while a job waits, for what."""
    job = seen.job
    if job.state is State.RUNNING:
        if job.is_cancel_requested:
            return "Stopping: what is written so far is kept."
        return job.progress.message if job.progress and job.progress.message else "Running."
    if not seen.has_worker:
        return "Waiting for a worker: none is running. Start one with “workbench worker”."
    ahead = seen.place.ahead if seen.place else 0
    before = {0: "Next in the queue", 1: "1 job before this one"}.get(ahead, f"{ahead:,} jobs before this one")
    return f"{before}; {seen.runs_now}." if seen.runs_now else f"{before}."


def turns_of(job: Job) -> list[Message]:
    """The conversation up to and with this job's prompt, as far as its spec tells one."""
    prompt = job.spec.get("prompt")
    earlier = job.spec.get("messages") or ()
    turns = [Message.model_validate(turn) for turn in earlier]
    return [*turns, Message(role="user", content=prompt)] if isinstance(prompt, str) else turns


def tokens_of(job: Job) -> tuple[int, int] | None:
    """Tokens of the answer and of the prompt."""
    result: dict[str, Any] = job.result or {}
    if "completion_tokens" in result and "prompt_tokens" in result:
        return result["completion_tokens"], result["prompt_tokens"]
    return None


def made_by(job: Job) -> MadeBy | None:
    """What made the job's outputs."""
    return job.samples[0].made_by if job.samples else None


def as_json(job: Job) -> str:
    """The job's spec, to be submitted again by `--spec`."""
    return json.dumps(job.spec, ensure_ascii=False, indent=2)


def traceback_of(seen: Seen) -> str:
    """What the last attempt left of its failure."""
    return next((attempt.traceback for attempt in reversed(seen.attempts) if attempt.traceback), "")


def _runs_now(client: Workbench, job: Job) -> str:
    everything = client.store.jobs(client.who, JobFilter(state=State.RUNNING), limit=50)
    running = [other for other in everything if other.queue == job.queue and other.visibility is Visibility.TEAM]
    if not running:
        return ""
    oldest = min(running, key=lambda other: other.started_at or 0)
    return f"“{oldest.name}” runs now" if len(running) == 1 else f"{len(running)} run now, first “{oldest.name}”"
