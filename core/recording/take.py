"""Takes a recording of a job that has ended: from the store, and from its stream where that is still there."""

from __future__ import annotations

import getpass
import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from pydantic import ValidationError

from core import __version__
from core.cards import read_card
from core.errors import BadInput
from core.recording.private import RECORDED, Private
from core.recording.values import Machine, RecordedJob, Recording, Text, Tried, Words, begun
from core.stream import FROM_THE_START, Transcript
from core.values import Job, Visibility

if TYPE_CHECKING:
    from core.client import Workbench

NOWHERE = Path("/")


@dataclass(frozen=True)
class About:
    """What whoever records says of it; an empty name or title is made of the job's own."""

    name: str = ""
    title: str = ""
    note: str = ""
    commit: str = ""


def take(workbench: Workbench, job_id: str, about: About) -> Recording:
    """A job that has ended, or a pipeline with those of its steps, without what is private.

    Raises:
        NotFound: there is no such job.
        BadInput: it has not ended, or the name is none that an address can have.
    """
    whole = workbench.show(job_id).model_copy(update={"step": None, "round": None})  # recorded alone it is no step
    if not whole.state.is_finished:
        raise BadInput(f"Job {whole.id} is {whole.state}.", "Record it once it has ended.")
    jobs = [whole, *_steps(workbench, whole)]
    private = _private(workbench, jobs)
    known = {job.id for job in jobs}
    title = about.title or private.text(whole.name)
    try:
        return Recording(
            name=about.name or f"{whole.kind}-{whole.id[-6:].lower()}",
            title=title,
            note=about.note,
            recorded_at=time.time(),
            program=__version__,
            commit=about.commit,
            machine=Machine.model_validate(private.clean(_machine(workbench, jobs).model_dump())),
            jobs=tuple(_recorded(workbench, job, private, known) for job in jobs),
        )
    except ValidationError as error:
        told = error.errors()[0]
        raise BadInput(
            f"{told['loc'][0]}: {told['msg'][0].lower()}{told['msg'][1:]}.",
            "A name has small letters, digits and hyphens; a title has 1 to 200 characters, a note at most 1,000.",
        ) from error


def _steps(workbench: Workbench, whole: Job) -> Iterator[Job]:
    """The jobs of a pipeline's steps, in their order, each by the name that it has there."""
    for step in (whole.result or {}).get("steps") or () if whole.queue == "" else ():
        if step.get("job_id"):
            yield workbench.show(step["job_id"]).model_copy(update={"step": step["name"]})


def _recorded(workbench: Workbench, job: Job, private: Private, known: set[str]) -> RecordedJob:
    store = workbench.store
    events = [one.model_copy(update={"data": private.event(one.data)}) for one in store.events(job.id)]
    facts = list(Tried.model_fields)
    tried = [Tried(**{name: getattr(one, name) for name in facts}) for one in store.attempts(job.id)]
    clean = _clean(job, private, known)
    return RecordedJob(
        job=clean,
        events=tuple(events),
        attempts=tuple(tried),
        metrics=tuple(store.metrics(job.id)),
        text=_text(workbench, job, clean),
    )


def _clean(job: Job, private: Private, known: set[str]) -> Job:
    """The job as anybody may see it; what it refers to and was not recorded with it is left out."""
    body: dict[str, Any] = job.model_dump(mode="json")
    for name in ("name", "model", "spec", "progress", "result", "error", "measurements", "samples", "artifacts"):
        body[name] = private.clean(body[name])
    told = {name: body[name] if body[name] in known else None for name in ("parent", "retry_of", "pipeline_id")}
    hidden = {"owner": RECORDED, "worker": None, "note": "", "waiting_reason": "", "visibility": Visibility.TEAM}
    return Job.model_validate(body | told | hidden)


def _private(workbench: Workbench, jobs: Sequence[Job]) -> Private:
    settings = workbench.settings
    facts = [one.data for job in jobs for one in workbench.store.events(job.id)]
    workers = {str(one.get("worker") or "") for one in facts} | {job.worker or "" for job in jobs}
    hosts = {worker.partition("/")[0] for worker in workers if "/" in worker} | {platform.node()}
    users = {job.owner for job in jobs} | {settings.user, _login()}
    users |= {str(one[name]) for one in facts for name in ("owner", "by") if one.get(name)}
    places = {settings.home, settings.home.resolve(), Path.home(), Path.home().resolve()} - {NOWHERE}
    return Private(hosts - {"localhost"}, users, {str(place) for place in places})


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return ""


def _machine(workbench: Workbench, jobs: Sequence[Job]) -> Machine:
    """What is known of it; more where it is the machine that records."""
    attempts = [one for job in jobs for one in workbench.store.attempts(job.id)]
    device = next((one.device for one in reversed(attempts) if one.device), "")
    made = Machine(device=device, versions=_versions(jobs))
    if not any(one.worker.partition("/")[0] == platform.node() for one in attempts):
        return made
    card, here = read_card(), {"cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}
    if card.name == device:
        here |= {"memory_kind": card.memory_kind, "memory_bytes": card.total_bytes}
    return made.model_copy(update=here)


def _versions(jobs: Sequence[Job]) -> dict[str, str]:
    found: dict[str, str] = {}
    for job in jobs:
        told = (job.result or {}).get("versions")
        found |= {str(name): str(version) for name, version in (told or {}).items()}
        for sample in job.samples:
            found |= sample.made_by.versions
    return dict(sorted(found.items()))


def _text(workbench: Workbench, job: Job, clean: Job) -> Text | None:
    """How the text of its result came: as the stream says, else as its speed was measured."""
    text = (clean.result or {}).get("text")
    if not isinstance(text, str) or not text or not _is_streamed(job):
        return None
    pieces = _from_stream(workbench, job) if text == (job.result or {}).get("text") else []
    if pieces:
        return Text(words=Words.STREAM, pieces=tuple(pieces))
    return Text(words=Words.RECONSTRUCTED, pieces=tuple(_from_speed(clean, text)))


def _is_streamed(job: Job) -> bool:
    return any(one.name == "time_to_first_token_s" for one in job.measurements)


def _from_stream(workbench: Workbench, job: Job) -> list[tuple[float, int]]:
    """The pieces that came over the stream; none unless they make up the whole text."""
    transcript, pieces = Transcript(), list[tuple[float, int]]()
    for entry_id, entry in workbench.entries(job.id):
        before = (transcript.attempt, len(transcript.text))
        transcript.apply(entry)
        now = (transcript.attempt, len(transcript.text))
        if now[0] != before[0]:
            pieces.clear()  # what an attempt wrote that was lost is not shown
        if now != before:
            pieces.append((int(entry_id.partition("-")[0]) / 1000, now[1]))
    return pieces if transcript.text == (job.result or {}).get("text") else []


def _from_speed(job: Job, text: str) -> Iterator[tuple[float, int]]:
    """Word by word at the measured speed, so that the last one comes when the job ended."""
    figures = {one.name: one.value for one in job.measurements}
    speed, n_tokens = figures.get("tokens_per_s", 0.0), (job.result or {}).get("completion_tokens") or 0
    end = job.finished_at or begun(job)
    took = min((n_tokens - 1) / speed, end - begun(job)) if speed and n_tokens > 1 else 0.0
    ends = [found.end() for found in re.finditer(r"\s*\S+", text)] or [len(text)]
    ends[-1] = len(text)
    for n in ends:
        yield end - took * (1 - n / len(text)), n


def entries_of(client: redis.Redis | None, key: str) -> list[tuple[str, dict[str, str]]]:
    """What is left of a stream; nothing without a broker that answers."""
    if client is None:
        return []
    try:
        found: Any = client.xrange(key, FROM_THE_START)
    except redis.RedisError:
        return []
    return list(found)
