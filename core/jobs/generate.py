"""`generate`: one answer of one model, as a chat turn or as plain completion, streamed as it is made."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic.config import JsonDict

from core.catalog import BUILTIN_NAME
from core.jobs.kind import Context, Kind, Queue, Result, shorten
from core.prompt import check_prompt
from core.spec import Spec
from core.values import MadeBy, Measurement, Message, Sample

if TYPE_CHECKING:
    from core.llm.engine import Generation
    from core.llm.loading import LoadedModel
    from core.llm.measure import Peak

ADVANCED: JsonDict = {"advanced": True}
StopString = Annotated[str, Field(min_length=1, max_length=64)]


class GenerateSpec(Spec):
    """What to ask, and how to choose each next token. None: the model's own value, else the usual one."""

    model: str = Field(BUILTIN_NAME, max_length=500, description="The model that answers: the built-in one or a folder")
    mode: Literal["chat", "completion"] = Field(
        "chat", description="chat: the model answers a message; completion: it continues the text as it stands"
    )
    prompt: str = Field(max_length=200_000, description="What the model answers or continues")
    system: str = Field(
        "", max_length=20_000, description="What the model is told about its role before the conversation"
    )
    messages: tuple[Message, ...] = Field((), max_length=400, description="Earlier turns of the conversation")
    max_new_tokens: int | None = Field(
        None, ge=1, le=8192, description="The longest answer, in tokens (256 unless told)"
    )
    temperature: float | None = Field(
        None, ge=0, le=2, description="0 always takes the likeliest token; higher is more varied"
    )
    top_p: float | None = Field(
        None, gt=0, le=1, description="Only the likeliest tokens that make up this share", json_schema_extra=ADVANCED
    )
    top_k: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Only this many of the likeliest tokens; 0 takes all",
        json_schema_extra=ADVANCED,
    )
    repetition_penalty: float | None = Field(
        None,
        gt=0,
        le=2,
        description="Above 1, tokens that were used already become less likely",
        json_schema_extra=ADVANCED,
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=2**32 - 1,
        description="The same seed gives the same answer again; empty: a random one",
        json_schema_extra=ADVANCED,
    )
    stop: tuple[StopString, ...] = Field(
        (), max_length=4, description="The answer ends before any of these strings", json_schema_extra=ADVANCED
    )

    @model_validator(mode="after")
    def _has_a_prompt(self) -> Self:
        if not self.prompt.strip():
            raise ValueError("The prompt is empty: write what the model should answer.")
        if self.mode == "completion" and (self.system or self.messages):
            raise ValueError("A completion takes a prompt alone: system and messages belong to a chat.")
        return self

    @property
    def turns(self) -> tuple[Message, ...]:
        """The whole conversation as the model sees it; empty for a completion."""
        if self.mode == "completion":
            return ()
        system = (Message(role="system", content=self.system),) if self.system else ()
        return (*system, *self.messages, Message(role="user", content=self.prompt))


class GenerateResult(Result):
    """The answer, why it ended there, and the values that were used."""

    text: str
    finish_reason: Literal["stop", "length", "cancelled"]
    prompt_tokens: int
    completion_tokens: int
    parameters: dict[str, Any]


def run(spec: GenerateSpec, context: Context) -> GenerateResult:
    """Answer `spec`, streaming; stopped in the middle it returns what was written.

    Raises:
        ModelError: the model cannot be loaded.
        ContextExceeded: the prompt leaves no room for an answer.
        OutOfMemory: the device is too small for this request.
    """
    from core.llm.engine import Request
    from core.llm.loading import encode_chat, encode_text
    from core.llm.sampling import resolve_sampling

    engine = context.engine(spec.model)
    loaded = engine.loaded
    token_ids = encode_chat(loaded, spec.turns) if spec.turns else encode_text(loaded, spec.prompt)
    seed = secrets.randbits(32) if spec.seed is None else spec.seed
    sampling = resolve_sampling(loaded, spec.model_dump(), len(token_ids), seed)
    with context.memory() as peak:
        generation = engine.submit(Request(tuple(token_ids), sampling))
        context.on_stop(generation.cancel)
        text = _stream(generation, context)
    _keep(context, generation, peak)
    made_by = _stamp(loaded, seed)
    context.sample(Sample(messages=spec.turns, prompt=spec.prompt, completion=text, made_by=made_by))
    return GenerateResult(
        text=text,
        finish_reason=generation.finish_reason,
        prompt_tokens=generation.prompt_tokens,
        completion_tokens=generation.completion_tokens,
        parameters=sampling.as_dict(),
    )


def _stream(generation: Generation, context: Context) -> str:
    pieces = []
    for chunk in generation:
        pieces.append(chunk.text)
        context.token(chunk.text)
    return "".join(pieces)


def _keep(context: Context, generation: Generation, peak: Peak) -> None:
    figures = [("time_to_first_token_s", generation.time_to_first_token_s, "s")]
    if generation.decode_s and generation.completion_tokens > 1:
        # the first token is the prompt's work, so speed counts the ones after it
        figures.append(("tokens_per_s", (generation.completion_tokens - 1) / generation.decode_s, "tokens/s"))
    figures += [
        ("peak_bytes", peak.peak_bytes, "bytes"),
        ("resident_bytes", peak.resident_bytes, "bytes"),
        ("cache_bytes", generation.cache_bytes, "bytes"),
        ("shared_with", peak.shared_with, "jobs"),
    ]
    for name, value, unit in figures:
        if value is not None:
            context.measurement(Measurement(name=name, value=value, unit=unit))


def _stamp(loaded: LoadedModel, seed: int) -> MadeBy:
    from core.llm.measure import versions

    return MadeBy(
        model=loaded.source.name,
        revision=loaded.source.revision,
        precision=loaded.precision,
        device=loaded.device_name,
        seed=seed,
        versions=versions(),
    )


def _check(spec: GenerateSpec, home: Path) -> None:
    check_prompt(spec.model, home, spec.turns, spec.prompt)


KIND = Kind(
    name="generate",
    queue=Queue.INTERACTIVE,
    spec=GenerateSpec,
    result=GenerateResult,
    run=run,
    title=lambda spec: shorten(spec.prompt),
    words=lambda spec: spec.prompt,
    model=lambda spec: spec.model,
    check=_check,
    help="Ask a model",
)
