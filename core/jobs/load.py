"""`load`: brings a model to a worker at a precision, keeps it there, and says what that took beside what was said."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from core.jobs.kind import Context, Door, Kind, Queue, Result, shorten
from core.jobs.streaming import speeds, stream
from core.recipe import as_code
from core.values import Measurement, Message, Sample
from core.variant import ModelSpec

if TYPE_CHECKING:
    from core.llm.generation import Generation
    from core.llm.resident import Resident

SAMPLE_TOKENS = 24


class LoadSpec(ModelSpec):
    """Which model to bring into memory, and how."""

    prompt: str = Field(
        "What is a language model, in one sentence?",
        min_length=1,
        max_length=2_000,
        description="A question for a short sample answer",
    )
    pin: bool = Field(False, description="Keep it when another model needs the room")


class LoadResult(Result):
    """What was loaded and how; `code` is the call that does the same in plain transformers."""

    text: str
    model: str
    revision: str | None
    precision: str
    attention: str
    compute_dtype: str
    stored_as: str
    device: str
    memory_kind: str
    was_resident: bool
    code: str
    notes: tuple[str, ...] = ()


def run(spec: LoadSpec, context: Context) -> LoadResult:
    """Load the model, or find it resident, and let it answer once.

    Raises:
        ModelError: there is no such model here, or it cannot be loaded.
        OutOfMemory: the device is too small for it.
    """
    began = time.time()
    resident = context.resident(spec.variant)
    was_resident = resident.loaded_at < began
    if spec.pin:
        context.pin(spec.variant)
    for figure in resident.figures:
        context.measurement(figure)
    text = _answer(spec, context, resident)
    loaded = resident.loaded
    return LoadResult(
        text=text,
        model=loaded.source.name,
        revision=loaded.source.revision,
        precision=loaded.precision,
        attention=loaded.attention,
        compute_dtype=loaded.compute_dtype,
        stored_as=resident.stored_as,
        device=loaded.device_name,
        memory_kind="gpu" if loaded.device.startswith("cuda") else "host",
        was_resident=was_resident,
        code=as_code(
            replace(resident.choice, attention=loaded.attention), loaded.source, loaded.device, resident.may_run_code
        ),
        notes=resident.notes,
    )


def _answer(spec: LoadSpec, context: Context, resident: Resident) -> str:
    from core.llm.encode import encode_question
    from core.llm.engine import Request
    from core.llm.sampling import resolve_sampling
    from core.llm.stamp import stamp

    loaded = resident.loaded
    ids = encode_question(loaded, spec.prompt)
    sampling = resolve_sampling(loaded, {"temperature": 0.0, "max_new_tokens": SAMPLE_TOKENS}, len(ids), 0)
    generation = resident.engine.submit(Request(tuple(ids), sampling, resident.adapter))
    text = stream(generation, context)
    asked = (Message(role="user", content=spec.prompt),)
    context.sample(Sample(messages=asked, prompt=spec.prompt, completion=text, made_by=stamp(loaded, 0, spec.adapter)))
    for figure in (*speeds(generation), *_cache(generation, resident)):
        context.measurement(figure)
    return text


def _cache(generation: Generation, resident: Resident) -> list[Measurement]:
    if not generation.cache_bytes_per_token:
        return []
    predicted = resident.needs.token_bytes if resident.needs else None
    name, value = "kv_cache_bytes_per_token", generation.cache_bytes_per_token
    return [Measurement(name=name, value=value, unit="bytes", predicted=predicted)]


KIND = Kind(
    name="load",
    queue=Queue.INTERACTIVE,
    door=Door.MODELS,
    spec=LoadSpec,
    result=LoadResult,
    run=run,
    title=lambda spec: shorten(f"{spec.model.rstrip('/').rpartition('/')[2]} in {spec.dtype}"),
    words=lambda spec: spec.model,
    help="Bring a model into memory and keep it there",
)
