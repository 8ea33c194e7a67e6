"""Recordings made by hand, with times that are easy to follow: each job begins at BEGUN."""

from __future__ import annotations

from typing import Any

from core.recording.values import Machine, RecordedJob, Recording, Text, Words
from core.states import State
from core.values import ArtifactKind, ArtifactRef, Event, Job, MadeBy, Measurement, Sample, Visibility
from tests.web import comparisons, trainings

BEGUN = 1.8e9
ANSWER = "The sky is blue because of how light scatters."
WHOLE, SFT, MERGE = "01ARZ3NDEKTSV4RRFFQ69G5FA0", "01ARZ3NDEKTSV4RRFFQ69G5FA1", "01ARZ3NDEKTSV4RRFFQ69G5FA2"
ADAPTER = ArtifactRef(id="01ARZ3NDEKTSV4RRFFQ69G5FB1", kind=ArtifactKind.ADAPTER, name="adapter", n_bytes=9)
N_TOKENS = {"prompt_tokens": 9, "completion_tokens": 9}
STEPS = [
    {"name": "sft", "kind": "sft", "fields": {"max_steps": 60}},
    {"name": "merge", "kind": "merge", "fields": {"adapter": "@sft"}},
]


def job(kind: str, seconds: float, **changes: Any) -> Job:
    """A job that succeeded after so many seconds."""
    usual: dict[str, Any] = {
        "id": WHOLE, "kind": kind, "queue": "batch", "state": State.SUCCEEDED, "owner": "recorded",
        "visibility": Visibility.TEAM, "priority": 0, "name": f"a {kind}", "note": "",
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct", "spec": {}, "parent": None, "retry_of": None, "attempt": 1,
        "is_cancel_requested": False, "progress": None, "result": None, "error": None, "created_at": BEGUN - 5,
        "started_at": BEGUN, "finished_at": BEGUN + seconds, "worker": None,
    }  # fmt: skip
    return Job(**usual | changes)


def told(seconds: float) -> tuple[Event, ...]:
    """The events of a job that waited five seconds and succeeded."""
    return (
        Event(seq=1, at=BEGUN - 5, kind="queued", attempt=0, data={"owner": "its owner"}),
        Event(seq=2, at=BEGUN, kind="claimed", attempt=1, data={"worker": "a worker"}),
        Event(seq=3, at=BEGUN + seconds, kind="succeeded", attempt=1),
    )


def training(**changes: Any) -> RecordedJob:
    """Sixty steps, one each two seconds from BEGUN on, evaluated each ten, and ten seconds to end."""
    result = trainings.result().model_dump(mode="json") | changes.pop("result", {})
    return RecordedJob(
        job=job("sft", 130, result=result, artifacts=(ADAPTER,), **changes),
        events=told(130),
        metrics=tuple(trainings.metrics(60)),
    )


def generation(**changes: Any) -> RecordedJob:
    """An answer, a word each second from the third on."""
    words, pieces, n = ANSWER.split(" "), list[tuple[float, int]](), 0
    for at, word in enumerate(words):
        n += len(word) + (at > 0)
        pieces.append((BEGUN + 3 + at, n))
    made = MadeBy(model="m", precision="float32", device="CPU", seed=7)
    figures = (Measurement(name="time_to_first_token_s", value=3, unit="s"),)
    usual: dict[str, Any] = {
        "spec": {"prompt": "Why is the sky blue?"}, "queue": "interactive", "measurements": figures,
        "samples": (Sample(prompt="Why is the sky blue?", completion=ANSWER, made_by=made),),
        "result": {"text": ANSWER, "finish_reason": "stop", "parameters": {}} | N_TOKENS,
    }  # fmt: skip
    found = job("generate", 15, **usual | changes)
    return RecordedJob(job=found, events=told(15), text=Text(words=Words.STREAM, pieces=tuple(pieces)))


def comparison() -> RecordedJob:
    """Variants that took ten seconds each, and then their speeds."""
    found = comparisons.comparison().model_dump(mode="json")
    found["variants"] = [{**one, "seconds": 10.0 if one["state"] == "succeeded" else 0.0} for one in found["variants"]]
    return RecordedJob(job=job("compare", 100, result=found, spec={"seed": 0}), events=told(100))


def pipeline() -> Recording:
    """A training and a merge of what it made, one after the other."""
    sft = training(id=SFT, pipeline_id=WHOLE, step="sft", round=1)
    times = {"created_at": BEGUN + 130, "started_at": BEGUN + 140, "finished_at": BEGUN + 200}
    merged = job("merge", 60, id=MERGE, pipeline_id=WHOLE, step="merge", round=1, result={"text": "Merged."}, **times)
    steps = [
        {"name": "sft", "kind": "sft", "state": "succeeded", "job_id": SFT, "headline": "It learned."},
        {"name": "merge", "kind": "merge", "needs": ["sft"], "state": "succeeded", "job_id": MERGE},
    ]
    whole = job("pipeline", 200, queue="", spec={"steps": STEPS}, result={"text": "All is done.", "steps": steps})
    begun = Event(seq=1, at=BEGUN, kind="began", attempt=0, data={"owner": "its owner"})
    return recording(RecordedJob(job=whole, events=(begun,)), sft, RecordedJob(job=merged))


def recording(*jobs: RecordedJob, **changes: Any) -> Recording:
    """One of these jobs, on a machine that is known."""
    machine = Machine(device="AMD EPYC", memory_kind="host", memory_bytes=25_300_000_000, cores=2)
    usual: dict[str, Any] = {
        "name": "one", "title": "One run", "recorded_at": BEGUN + 300, "program": "0.1.0", "commit": "36a259b647ef",
        "machine": machine, "jobs": jobs,
    }  # fmt: skip
    return Recording(**usual | changes)
