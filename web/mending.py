"""The way out of a job's trouble that one button can take: what it says, and the job that it submits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.client import Workbench
from core.errors import BadInput
from core.precision import Precision
from core.values import Job
from web.headlines import short

# what admission says of the widest precision that fits, as the first words of its hint
NARROWER = re.compile(
    rf"({'|'.join(sorted((re.escape(one) for one in Precision), key=len, reverse=True))}) would need "
)
SMALLER = re.compile(r"Take per_device_train_batch_size (\d+) with gradient_accumulation_steps (\d+)")


@dataclass(frozen=True)
class WayOut:
    """What a button says, and the job that it submits."""

    title: str
    kind: str
    spec: Mapping[str, Any]


def way_out(job: Job) -> WayOut | None:
    """What would help; None where only the sentence can."""
    if job.error is None or not job.model:
        return None
    asked = _asked(job)
    match job.error.code:
        case "not_downloaded" if job.kind != "download":
            return WayOut(f"Download {short(asked['model'])}", "download", asked)
        case "pickled_weights" if job.kind != "convert":
            return WayOut(f"Convert {short(asked['model'])}", "convert", asked)
        case "out_of_memory":
            return _narrower(job) or _smaller(job)
    return None


def mend(client: Workbench, job_id: str, key: str | None) -> Job:
    """Submit what helps the job.

    Raises:
        BadInput: nothing does.
    """
    way = way_out(client.show(job_id))
    if way is None:
        raise BadInput("There is nothing that a job could do about it.")
    return client.submit(way.kind, way.spec, key=key)


def _asked(job: Job) -> dict[str, Any]:
    revision = job.spec.get("revision")
    return {"model": job.model} | ({"revision": revision} if revision else {})


def _narrower(job: Job) -> WayOut | None:
    found = NARROWER.match(job.error.hint) if job.error else None
    if found is None or "dtype" not in job.spec:
        return None
    verb = "Load" if job.kind == "load" else "Try"
    return WayOut(f"{verb} it in {found[1]}", job.kind, {**job.spec, "dtype": found[1]})


def _smaller(job: Job) -> WayOut | None:
    """The same training, as many rows a step, fewer of them at once."""
    found = SMALLER.match(job.error.hint) if job.error else None
    if found is None or "per_device_train_batch_size" not in job.spec:
        return None
    rows, batches = map(int, found.groups())
    asked = {"per_device_train_batch_size": rows, "gradient_accumulation_steps": batches}
    return WayOut(f"Train {rows} row{'' if rows == 1 else 's'} at once", job.kind, {**job.spec, **asked})
