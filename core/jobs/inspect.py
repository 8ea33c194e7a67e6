"""`inspect`: what int8 and 4-bit codes do to one layer of a model, from its real weights and a prompt's activations."""

from __future__ import annotations

from pydantic import Field, field_validator

from core.catalog import BUILTIN_NAME, resolve
from core.comparison.inspected import Inspected, OfferedSize
from core.jobs.kind import Context, Door, Kind, Queue, Result, shorten
from core.spec import Spec
from core.values import Measurement, Progress
from core.variant import ADVANCED, THRESHOLD, Variant

PROMPT = (
    "The sky is blue because air scatters short waves of light more than long ones, and so more blue than red "
    "reaches our eyes from all sides."
)


class InspectSpec(Spec):
    """Which layer of which model to look at, and with which prompt."""

    model: str = Field(
        BUILTIN_NAME, min_length=1, max_length=500, description="A Hub name, a folder, or the id of a model of a job"
    )
    revision: str | None = Field(
        None, max_length=200, description="Branch, tag or commit of a Hub model", json_schema_extra=ADVANCED
    )
    module: str = Field(
        "",
        max_length=300,
        description="A linear layer such as model.layers.0.mlp.down_proj, or a block and a kind such as 0 down_proj; "
        "empty: one that shows what there is to see",
    )
    prompt: str = Field(
        PROMPT, min_length=1, max_length=4_000, description="What the layer is given; 512 tokens at most"
    )
    block_size: OfferedSize = Field(64, description="How many weights share a scale in 4 bit")
    head: int = Field(0, ge=0, le=1_023, description="The attention head to show, counted from 0")
    llm_int8_threshold: float = Field(
        THRESHOLD,
        ge=0,
        le=1000,
        description="int8: columns of activations beyond this are multiplied in 16 bit",
        json_schema_extra=ADVANCED,
    )

    @field_validator("prompt")
    @classmethod
    def _has_words(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("The prompt is empty: write a few words for the layer to work on.")
        return prompt

    @property
    def variant(self) -> Variant:
        """The model whose activations are looked at: in full, as this machine runs it best."""
        return Variant(self.model, self.revision)


class InspectResult(Inspected, Result):
    """What was found."""


def run(spec: InspectSpec, context: Context) -> InspectResult:
    """Look at one layer.

    Raises:
        BadInput: there is no such layer, or the model's files do not hold its weights as they were.
        ModelError: there is no such model here, or it cannot be loaded.
        OutOfMemory: the device is too small for it.
    """
    from core.llm.inspecting import Question, check_can_inspect, inspect_layer

    check_can_inspect(resolve(spec.model, context.home, spec.revision))
    resident = context.resident(spec.variant)
    question = Question(spec.module, spec.prompt, spec.block_size, spec.head, spec.llm_int8_threshold)
    with context.memory() as peak:
        found = inspect_layer(resident.engine, question, lambda message: context.progress(Progress(message=message)))
    context.measurement(Measurement(name="peak_bytes", value=peak.peak_bytes, unit="bytes"))
    return InspectResult(**dict(found))


def _title(spec: InspectSpec) -> str:
    name = spec.model.rstrip("/").rpartition("/")[2]
    return shorten(f"{spec.module or 'A layer'} of {name} in codes")


KIND = Kind(
    name="inspect",
    queue=Queue.INTERACTIVE,
    door=Door.PROMPTS,
    spec=InspectSpec,
    result=InspectResult,
    run=run,
    title=_title,
    words=lambda spec: f"{spec.module} {spec.prompt}",
    model=lambda spec: spec.model,
    variants=lambda spec: (spec.variant,),
    tokens=lambda spec: min(len(spec.prompt.encode()) // 2 + 1, 512),
    help="See what quantization does to one layer",
)
