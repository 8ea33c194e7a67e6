"""A job wherever it is shown: read once, rendered as fragments in the order of every page.

Title, now, result, figures, made by, trouble, what happened: a page is a layout with a place for each fragment that it
wants. The live text of a job is no fragment; it comes beside them, in pieces.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.client import Workbench
from core.errors import WorkbenchError
from core.jobs.kind import Queue
from core.modes import Mode
from core.overview import why_nobody_takes
from core.spec import as_command, parse_spec
from core.states import State
from core.store import Store
from core.store.queries import AttemptInfo, JobFilter, Place
from core.values import ArtifactRef, Event, Job, MadeBy, Message, Metric, Visibility
from web import compare_view, data_view, figures, merge_view, pipeline_view, train_view, words
from web.headlines import headline, next_step
from web.job_log import MOST_LINES, render_log
from web.mending import way_out
from web.templates import fragment
from web.train_curves import read_curves

MOST_FILES = 40  # of one artifact; `workbench save` has them all
MOST_COMMAND = 20_000  # characters; Linux takes an argument of 128 KiB


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
    files: tuple[tuple[ArtifactRef, tuple[str, ...]], ...] = ()
    """Each artifact with the names of those of its files that lie on this machine."""
    curves: str = ""
    evaluations: tuple[Metric, ...] = ()
    nobody: str = ""
    """Why no worker takes it, and what can be done; "" where one does."""
    most_running: int = 0
    """Of one owner at once; 0: any number."""
    deletable_bytes: int = 0
    """What deleting its checkpoints would free."""
    is_shared: bool = False
    """Whether others see it unless its owner says otherwise: so it is in a team."""

    @property
    def is_training(self) -> bool:
        """Whether it learns: it is of such a kind, or has logged curves."""
        return self.job.kind in train_view.TRAINING or bool(self.curves)


def look(client: Workbench, job_id: str, is_live: bool, curves: Callable[[Store, Job], str] = read_curves) -> Seen:
    """Read a job for all its viewers; whether each may see it was asked when its socket opened.

    Raises:
        NotFound: it has been deleted.
    """
    store = client.store
    job = store.job(job_id)
    is_waiting = job.state is State.QUEUED
    nobody = _nobody(client, job) if is_waiting else ""
    return Seen(
        job=job,
        events=tuple(store.events(job_id)),
        attempts=tuple(store.attempts(job_id)),
        place=store.place(job_id) if is_waiting else None,
        runs_now=_runs_now(client, job) if is_waiting else "",
        has_worker=not nobody,
        nobody=nobody,
        most_running=client.settings.most_running,
        is_live=is_live,
        command=command_of(client, job),
        files=tuple((artifact, tuple(client.files(artifact))) for artifact in job.artifacts),
        curves=curves(store, job) if job.queue == Queue.BATCH else "",
        evaluations=tuple(store.evaluations(job_id, MOST_LINES)) if job.queue == Queue.BATCH else (),
        deletable_bytes=client.deletable_bytes(job) if job.queue == Queue.BATCH else 0,
        is_shared=client.settings.mode is Mode.TEAM,
    )


def command_of(client: Workbench, job: Job) -> str:
    """The command line that submits the same; "" where there is none, or where it holds a text too long for a shell."""
    try:
        command = as_command(job.kind, parse_spec(client.kinds[job.kind].spec, job.spec))
    except WorkbenchError:  # this version no longer knows the kind or its fields
        return ""
    return command if len(command) <= MOST_COMMAND else ""


def render(seen: Seen, *, may_change: bool) -> dict[str, str]:
    """The fragments of a job."""
    job, chip = seen.job, words.chip(seen.job)
    return {
        "title": fragment(
            "title", job=job, chip=chip, seen=seen, may_change=may_change, words=words, can_pause=can_pause(job)
        ),
        "chip": fragment("chip", job=job, chip=chip, may_change=may_change),
        "brief": fragment("brief", job=job, chip=chip, may_change=may_change, words=words),
        "now": ""
        if job.state.is_finished
        else fragment(
            "now",
            job=job,
            progress=words.under_way(job),
            sentence=now_sentence(seen),
            seen=seen,
            steps=train_view.progress_line(job),
        ),
        "conversation": fragment("conversation", job=job, turns=turns_of(job)),
        "result": _result(seen),
        "files": fragment("files", files=seen.files, most=MOST_FILES),
        "figures": fragment("figures", job=job, words=words, figures=figures, tokens=tokens_of(job)),
        "made": fragment(
            "made",
            job=job,
            words=words,
            made_by=made_by(job),
            command=seen.command,
            as_json=as_json(job),
            code=(job.result or {}).get("code", ""),
        ),
        "trouble": fragment("trouble", job=job, way=way_out(job), traceback=traceback_of(seen)) if job.error else "",
        "happened": "" if seen.is_training else fragment("happened", events=seen.events, happened=words.happened),
        "about": fragment("about", job=job, may_change=may_change, is_shared=seen.is_shared),
        "state": job.state.value,
    } | _further(seen, may_change)


def _further(seen: Seen, may_change: bool) -> dict[str, str]:
    """What only jobs of its kind have."""
    if seen.job.kind == compare_view.KIND:
        return compare_view.render_parts(seen.job)
    if seen.is_training:
        learned = train_view.render_parts(seen.job, seen.deletable_bytes if may_change else 0)
        return learned | _drawn(seen) | render_log(seen.events, seen.evaluations)
    render = {one.KIND: one.render_parts for one in (data_view, merge_view, pipeline_view)}.get(seen.job.kind)
    return render(seen.job) if render else {}


def _drawn(seen: Seen) -> dict[str, str]:
    return {"curves": seen.curves, "curves_file": fragment("curves_file", job=seen.job) if seen.curves else ""}


def _result(seen: Seen) -> str:
    job = seen.job
    if job.kind == compare_view.KIND:
        said = compare_view.said(job)
        return fragment("compare_said", job=job, said=said, files=seen.files) if job.result else ""
    if job.kind == merge_view.KIND:
        return merge_view.render_said(job)
    if job.kind == pipeline_view.KIND:
        return pipeline_view.render_said(job)
    if job.kind in train_view.TRAINING:
        return fragment("train_said", **train_view.as_body(job))
    return fragment("result", job=job, headline=headline(job), next=next_step(job))


def can_pause(job: Job) -> bool:
    """Whether it can be held and go on later: a training saves what it has."""
    if job.kind == pipeline_view.KIND:
        return pipeline_view.can_pause(job)
    return job.kind in train_view.TRAINING and job.state in (State.RUNNING, State.QUEUED)


def now_sentence(seen: Seen) -> str:
    """What is going on, and while a job waits, for what."""
    job = seen.job
    if job.state is State.RUNNING:
        if job.is_cancel_requested:
            return "Stopping: what is written so far is kept."
        if job.is_pause_requested:
            return "Pausing: it saves what it has, and lets its card go."
        progress = words.under_way(job)
        return progress.message if progress and progress.message else "Running."
    if job.state is State.HELD and job.kind == pipeline_view.KIND:
        return pipeline_view.now_sentence(job)
    if job.state is State.HELD:
        return "Paused: it holds no card. Resume puts it back into the queue, and it goes on where it was."
    if not seen.has_worker:
        return seen.nobody
    if seen.most_running and seen.place and seen.place.of_owner >= seen.most_running:
        n_jobs = f"{seen.place.of_owner} job{'' if seen.place.of_owner == 1 else 's'}"
        return f"Waits until one of {job.owner} ends: {n_jobs} of one person run at once at most."
    if job.waiting_reason:
        return f"Waits for memory: {job.waiting_reason}."
    ahead = seen.place.ahead if seen.place else 0
    before = {0: "Next in the queue", 1: "1 job before this one"}.get(ahead, f"{ahead:,} jobs before this one")
    return f"{before}; {seen.runs_now}." if seen.runs_now else f"{before}."


def _nobody(client: Workbench, job: Job) -> str:
    why = why_nobody_takes(job.queue, client.store.workers())
    return f"Waits for a worker: {why.reason}. {why.hint.replace('`', '')}" if why else ""


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
