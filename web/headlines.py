"""What a finished job's result says in one sentence, by kind. Kinds whose text speaks for itself have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from core.states import State
from core.values import Job
from web.format import written

Body = Mapping[str, Any]


def headline(job: Job) -> str:
    """The sentence; "" where there is none to say, or where the job was stopped before it had a result."""
    said = SAID.get(job.kind)
    if said is None or job.result is None or job.state not in (State.SUCCEEDED, State.CANCELLED):
        return ""
    return said(job, job.result)


def next_step(job: Job) -> tuple[str, str] | None:
    """What one would do next, as words and address."""
    body = job.result or {}
    if job.state is not State.SUCCEEDED:
        return None
    match job.kind:
        case "load":
            asked = {name: job.spec.get(name) for name in ("model", "adapter", "dtype")}
            return "Ask it", f"/?{urlencode({name: value for name, value in asked.items() if value})}"
        case "inspect":
            return "See what was found", f"/learn?job={job.id}"
        case "download" | "convert" if body.get("name"):
            return "Load it", f"/models?{urlencode({'load': body['name']})}"
    return None


def short(name: str) -> str:
    """A model's name without its organisation or folder."""
    return name.rstrip("/").rpartition("/")[2] or name


def _load(job: Job, body: Body) -> str:
    name, precision = short(str(body.get("model", job.model))), body.get("precision", "")
    held = _figure(job, "held_bytes") or _figure(job, "weights_bytes")
    if body.get("was_resident"):
        return f"{name} was resident already in {precision}{f': {held}' if held else ''}."
    read, rate = _figure(job, "load_s"), _figure(job, "load_bytes_per_s")
    how = f", read in {read}{f' at {rate}' if rate else ''}" if read else ""
    return f"{name} is resident in {precision}: {held}{how}." if held else f"{name} is resident in {precision}{how}."


def _download(job: Job, body: Body) -> str:
    name, files = short(str(body.get("name", job.model))), body.get("files") or ()
    if not body.get("is_whole"):
        return "Stopped; what came is kept, and the next download goes on there."
    rate, n_bytes = _figure(job, "download_bytes_per_s"), body.get("n_bytes") or 0
    n_files = f"{len(files):,} file{'' if len(files) == 1 else 's'}"
    if not n_bytes:
        return f"{name} was here already: {n_files}, nothing had to be fetched."
    took = f" in {written(float(body.get('seconds') or 0), 's')}"
    return f"{name} is here: {n_files}, {written(n_bytes, 'bytes')} fetched{took}{f' at {rate}' if rate else ''}."


def _convert(_job: Job, body: Body) -> str:
    if not body.get("is_whole"):
        return "Stopped; nothing is left of it."
    n_tensors, n_bytes = body.get("n_tensors") or 0, body.get("n_bytes") or 0
    return f"{body.get('name', '')} holds the same {n_tensors:,} tensors as safetensors: {written(n_bytes, 'bytes')}."


def _remove(job: Job, body: Body) -> str:
    freed = written(body.get("n_bytes") or 0, "bytes")
    return f"{short(str(body.get('name', job.model)))} is deleted: {freed} are free again."


def _inspect(job: Job, body: Body) -> str:
    """Which layer: the text of its result says what was found."""
    where = f" of block {body['block']}" if body.get("block") is not None else ""
    return f"Looked at {body.get('kind') or 'a layer'}{where} of {short(str(body.get('model') or job.model))}."


def _figure(job: Job, name: str) -> str:
    found = next((m for m in job.measurements if m.name == name), None)
    return written(found.value, found.unit) if found else ""


SAID: Mapping[str, Callable[[Job, Body], str]] = {
    "load": _load,
    "download": _download,
    "convert": _convert,
    "remove": _remove,
    "inspect": _inspect,
}
