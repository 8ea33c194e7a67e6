"""`remove`: a model is deleted from the worker's machine."""

from __future__ import annotations

from pydantic import Field

from core.catalog.removal import remove
from core.jobs.kind import Context, Door, Kind, Queue, Result
from core.spec import Spec
from core.values import Measurement


class RemoveSpec(Spec):
    """Which model goes. The built-in one stays, and what a job made goes with its job."""

    model: str = Field(
        min_length=1, max_length=500, description="A downloaded Hub model, or one in the models folder of the home"
    )
    revision: str | None = Field(
        None, min_length=1, max_length=200, description="Only this branch, tag or commit; empty: all that is here of it"
    )


class RemoveResult(Result):
    """What went, and the bytes that are free again."""

    name: str
    n_bytes: int


def run(spec: RemoveSpec, context: Context) -> RemoveResult:
    """Delete the model that `spec` names.

    Raises:
        NotAllowed: it is the built-in one, belongs to a job, or lies outside the home.
        ModelNotFound: there is no such model here.
    """
    n_bytes = remove(spec.model, spec.revision, context.home)
    context.measurement(Measurement(name="freed_bytes", value=n_bytes, unit="bytes"))
    context.models_changed()
    return RemoveResult(name=spec.model, n_bytes=n_bytes)


KIND = Kind(
    name="remove",
    queue=Queue.INTERACTIVE,
    door=Door.MACHINE,
    spec=RemoveSpec,
    result=RemoveResult,
    run=run,
    title=lambda spec: f"remove {spec.model}"[:80],
    words=lambda spec: spec.model,
    model=lambda spec: spec.model,
    help="Delete a model from the worker",
)
