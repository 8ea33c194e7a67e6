"""`download`: a model of the Hub is brought to the worker's machine, and goes on where an earlier try was cut off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from core.catalog.names import is_hub_name, shown
from core.jobs.kind import Context, Door, Kind, Queue, Result
from core.spec import Spec
from core.values import Measurement

if TYPE_CHECKING:
    from core.hub.download import Fetched


class DownloadSpec(Spec):
    """Which model to fetch. Gated and private ones need a token where the worker runs: HF_TOKEN, or the Hub's login."""

    model: str = Field(min_length=1, max_length=500, description="A name on the Hub: organisation/name")
    revision: str | None = Field(
        None, min_length=1, max_length=200, description="Branch, tag or commit; empty: the newest"
    )
    file: str = Field(
        "", max_length=300, description="Of a repository of GGUF files: which one, or a part of its name such as Q4_K_M"
    )

    @field_validator("model")
    @classmethod
    def _is_a_name(cls, model: str) -> str:
        if not is_hub_name(model):
            raise ValueError(f"{shown(model)} cannot be the name of a model on the Hub: organisation/name is one.")
        return model


class DownloadResult(Result):
    """What is here now: the commit, the files, and how many bytes came over the network for it."""

    name: str
    revision: str
    files: tuple[str, ...]
    n_bytes: int
    seconds: float
    is_whole: bool
    note: str = ""


def run(spec: DownloadSpec, context: Context) -> DownloadResult:
    """Fetch what is needed of `spec`; stopped in the middle it keeps what came, and the next download goes on there.

    Raises:
        ModelNotFound: the Hub has no such model, revision or file.
        HubRefused: it is gated or private, or the Hub takes no more requests.
        HubAway: the Hub cannot be reached, or the connection broke for good.
        ModelBroken: a file arrived damaged.
        DiskFull: there is no room for it.
    """
    from core.hub.access import Access
    from core.hub.download import download
    from core.hub.line import Line
    from core.hub.trouble import Stopped

    begun = time.monotonic()
    with Line(Access.from_environment()) as line:
        context.on_stop(line.cut)
        try:
            fetched = download(line, spec.model, spec.revision, spec.file, context.trusted_code, context.progress)
        except Stopped:
            return DownloadResult(
                name=spec.model, revision=spec.revision or "", files=(), n_bytes=0, seconds=0, is_whole=False
            )
    context.models_changed()
    return _result(fetched, time.monotonic() - begun, context)


def _result(fetched: Fetched, seconds: float, context: Context) -> DownloadResult:
    if fetched.n_bytes and seconds:
        context.measurement(Measurement(name="download_bytes_per_s", value=fetched.n_bytes / seconds, unit="bytes/s"))
    return DownloadResult(
        name=fetched.name,
        revision=fetched.commit,
        files=fetched.files,
        n_bytes=fetched.n_bytes,
        seconds=round(seconds, 3),
        is_whole=fetched.is_whole,
        note=fetched.note,
    )


KIND = Kind(
    name="download",
    queue=Queue.INTERACTIVE,
    door=Door.MODELS,
    spec=DownloadSpec,
    result=DownloadResult,
    run=run,
    title=lambda spec: f"download {spec.model}"[:80],
    words=lambda spec: spec.model,
    model=lambda spec: spec.model,
    help="Bring a model from the Hub to the worker",
)
