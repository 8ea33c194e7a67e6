"""`/files/ID/NAME`: a file that a job made, for whoever may see the job. It is saved, never shown with our rights.

`/curves/ID`: the curves of a training as a TensorBoard event file, made from what the store holds when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from core.client import Workbench
from core.errors import NotFound
from core.training.tensorboard import as_events, file_name
from web.access import asker

HEADERS = {
    # what a job made may hold what a stranger wrote: a browser that shows it all the same gives it no rights at all
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-cache",
}


def router(client: Workbench) -> APIRouter:
    """The route."""
    made = APIRouter()
    made.add_api_route("/files/{artifact_id}/{name:path}", _sender(client), methods=["GET", "HEAD"])
    made.add_api_route("/curves/{job_id}", _curve_sender(client), methods=["GET"])
    return made


def _sender(client: Workbench) -> Callable[[Request, str, str], Response]:
    def send(request: Request, artifact_id: str, name: str) -> Response:
        acting = client.acting_for(asker(request))
        try:
            _, artifact = acting.artifact(artifact_id)
        except NotFound as error:
            return PlainTextResponse(error.message, 404)
        files = acting.files(artifact)
        if not files:
            return PlainTextResponse("The files of this artifact are not on this machine.", 404)
        if name not in files:
            return PlainTextResponse("This artifact has no file of that name.", 404)
        path = files[name]
        return FileResponse(path, headers=HEADERS, media_type="application/octet-stream", filename=path.name)

    return send


def _curve_sender(client: Workbench) -> Callable[[Request, str], Response]:
    def send(request: Request, job_id: str) -> Response:
        acting = client.acting_for(asker(request))
        try:
            job = acting.show(job_id)
        except NotFound as error:
            return PlainTextResponse(error.message, 404)
        metrics = acting.metrics(job.id)
        if not metrics:
            return PlainTextResponse(f"Job {job.id} has logged no curves.", 404)
        name = f"{file_name(metrics)}.{job.id[-6:]}"
        headers = {**HEADERS, "content-disposition": f'attachment; filename="{name}"'}
        return Response(as_events(metrics), headers=headers, media_type="application/octet-stream")

    return send
