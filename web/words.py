"""States, events and figures in the words that people read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from core.states import State
from core.values import Event, Job, Measurement, Metric, Progress
from web.figures import BESIDE, title_of, way_of
from web.format import significant, written


@dataclass(frozen=True)
class Chip:
    """A state as it is shown: sign and word, not colour alone."""

    sign: str
    word: str
    tone: str


CHIPS = {
    State.QUEUED: Chip("◌", "queued", ""),
    State.RUNNING: Chip("◐", "running", "live"),
    State.HELD: Chip("‖", "paused", "warn"),
    State.SUCCEEDED: Chip("✓", "succeeded", "good"),
    State.FAILED: Chip("✕", "failed", "bad"),
    State.CANCELLED: Chip("■", "cancelled", ""),
}


def chip(job: Job) -> Chip:
    """The state of a job, or that it has been asked to stop or to pause."""
    if job.state is State.RUNNING and job.is_cancel_requested:
        return Chip("◐", "stopping", "warn")
    if job.state is State.RUNNING and job.is_pause_requested:
        return Chip("◐", "pausing", "warn")
    return CHIPS[job.state]


def under_way(job: Job) -> Progress | None:
    """How far a running job is; None once it writes, since what was loaded for it is in memory then."""
    if job.state is State.HELD:
        return job.progress
    if job.state is not State.RUNNING or any(m.name == "time_to_first_token_s" for m in job.measurements):
        return None
    return job.progress


def title(job: Job) -> str:
    """A job's name where its kind stands beside it."""
    rest = job.name.removeprefix(f"{job.kind} ")
    return rest or job.name


def figure_help(measurement: Measurement, job: Job) -> str:
    """How it was measured, how often, and with how many other jobs it was shared."""
    way = way_of(measurement, job)
    times = "measured once" if measurement.n == 1 else f"mean of {measurement.n:,}"
    spread = f", ± {measurement.spread:.3g}" if measurement.spread is not None else ""
    beside = "".join(
        f"; {title_of(m).lower()}: {written(m.value, m.unit)}" for m in job.measurements if m.name in BESIDE
    )
    said = f"{way}; {times}{spread}" if way else f"{times}{spread}".capitalize()
    return said + (beside if measurement.name == "peak_bytes" else "")


def ended(job: Job) -> str:
    """Why an answer ended where it did, where that is not its own doing."""
    result = job.result or {}
    if result.get("finish_reason") == "length":
        return f"Ended at the limit of {result.get('completion_tokens', 0):,} new tokens, which the form can raise."
    return "Stopped; what was written is kept." if result.get("finish_reason") == "cancelled" else ""


def parameters(job: Job) -> str:
    """The values that were used, those that the model's own configuration gave included."""
    used: dict[str, Any] = (job.result or {}).get("parameters") or {}
    shown = {name: value for name, value in used.items() if name != "seed" and value not in (None, (), [])}
    return " · ".join(f"{name} {_value(value)}" for name, value in shown.items())


def happened(event: Event) -> str:
    """An event as a sentence without its full stop."""
    data: dict[str, Any] = event.data
    match event.kind:
        case "queued":
            notes = " ".join(str(note) for note in data.get("notes") or ())
            return f"queued by {data.get('owner', 'its owner')}{f': {notes}' if notes else ''}"
        case "claimed":
            return f"attempt {event.attempt} began on {data.get('worker', 'a worker')}{_as_expected(data)}"
        case "cancel_requested":
            return f"{data.get('by', 'somebody')} asked it to stop"
        case "pause_requested":
            return f"{data.get('by', 'somebody')} asked it to pause"
        case "began":
            return f"begun by {data.get('owner', 'its owner')}; each step follows once it can"
        case "held" if data.get("message"):
            return f"held: {data['message']}"
        case "held":
            return f"paused by {data['by']}" if data.get("by") else "paused; what it has is kept"
        case "resumed":
            return f"{data.get('by', 'somebody')} let it go on"
        case "cancelled":
            return f"cancelled by {data['by']}" if data.get("by") else "stopped; what it had made is kept"
        case "given_back" if data.get("reason") == "yielded":
            return "made room for an interactive job; it goes on by itself"
        case "given_back":
            return f"given back to the queue: {data.get('reason', 'its worker stopped')}"
        case "lost":
            return f"its worker {data.get('worker', '')} gave no sign of life; back in the queue"
        case "failed":
            return f"failed: {data['message']}" if data.get("message") else "failed"
        case "preflight":
            return _tried(data)
        case "saved":
            return f"checkpoint saved at step {data['step']:,}; {written(data['n_bytes'], 'bytes')} of disk in all"
        case "went_on":
            return f"goes on from the checkpoint of step {data['step']:,}"
        case "noted":
            return str(data["text"]).rstrip(".")
        case "checkpoints_deleted":
            which = "all checkpoints but the newest" if data.get("keeps_newest") else "its checkpoints"
            free = f": {written(data['n_bytes'], 'bytes')} are free again" if data["n_bytes"] else ""
            return f"{data.get('by', 'somebody')} deleted {which}{free}"
        case "alarm":
            return f"sign at step {data['step']:,}: {str(data['text']).rstrip('.')}"
        case "artifact":
            return f"kept {data.get('name', 'files')}"
        case _:
            return event.kind.replace("_", " ")


def evaluated(metric: Metric) -> str:
    """An evaluation as a sentence without its full stop."""
    known = {"eval_loss": "held-out loss", "perplexity": "perplexity"}
    each = (f"{known.get(name, name)} {significant(value, 4)}" for name, value in metric.values.items())
    return f"evaluated after step {metric.step:,}: {', '.join(each)}"


def _as_expected(data: dict[str, Any]) -> str:
    if "expected_s" not in data or "waited_s" not in data:
        return ""
    said, waited = (written(data[name], "s") for name in ("expected_s", "waited_s"))
    return f"; it was expected to wait {said}, and waited {waited}"


def _tried(data: dict[str, Any]) -> str:
    predicted = f", predicted {written(data['predicted_bytes'], 'bytes')}" if data.get("predicted_bytes") else ""
    pace, whole = (written(data[name], "s") for name in ("step_s", "expected_s"))
    return f"pre-flight: peak {written(data['peak_bytes'], 'bytes')}{predicted}; {pace} a step, {whole} for the run"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
