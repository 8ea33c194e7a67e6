"""`convert`: pickled weights become safetensors, once, in a process of its own in which no code of theirs can run."""

from __future__ import annotations

import time

from pydantic import Field

from core.jobs.kind import Context, Door, Kind, Queue, Result
from core.spec import Spec
from core.values import Measurement


class ConvertSpec(Spec):
    """Which model to convert. The copy is put into the models folder of the home; what it is made of stays as it is."""

    model: str = Field(
        min_length=1, max_length=500, description="A downloaded Hub model or a folder whose weights are pickled"
    )
    revision: str | None = Field(
        None, min_length=1, max_length=200, description="Branch, tag or commit of a Hub model; empty: the one here"
    )


class ConvertResult(Result):
    """The name by which the converted model is used from now on."""

    name: str
    n_bytes: int
    n_tensors: int
    seconds: float
    is_whole: bool


def run(spec: ConvertSpec, context: Context) -> ConvertResult:
    """Read the pickled weights of `spec` without running anything, and write them anew; stopped, nothing is left.

    Raises:
        ModelNotFound: there is no such model here.
        PickledWeights: a file holds more than numbers; nothing of it was run.
        ModelBroken: a file is damaged or missing, or there is nothing to convert.
        DiskFull: there is no room for the copy.
    """
    from core.catalog import resolve
    from core.llm.convert import convert

    begun = time.monotonic()
    source = resolve(spec.model, context.home, spec.revision)
    made = convert(source, context.home, context.progress, context.should_stop)
    if made is None:
        return ConvertResult(name="", n_bytes=0, n_tensors=0, seconds=0, is_whole=False)
    seconds = time.monotonic() - begun
    context.measurement(Measurement(name="convert_bytes_per_s", value=made.n_bytes / seconds, unit="bytes/s"))
    context.models_changed()
    return ConvertResult(
        name=made.name, n_bytes=made.n_bytes, n_tensors=made.n_tensors, seconds=round(seconds, 3), is_whole=True
    )


KIND = Kind(
    name="convert",
    queue=Queue.BATCH,
    door=Door.MODELS,
    spec=ConvertSpec,
    result=ConvertResult,
    run=run,
    title=lambda spec: f"convert {spec.model}"[:80],
    words=lambda spec: spec.model,
    model=lambda spec: spec.model,
    help="Make safetensors of pickled weights",
)
