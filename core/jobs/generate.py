"""`generate`: one answer of one model, as a chat turn or as plain completion, streamed as it is made."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from core.jobs.kind import Context, Door, Kind, Queue, Result, shorten
from core.jobs.streaming import speeds, stream
from core.prompt import check_prompt
from core.values import Measurement, Message, Sample
from core.variant import ADVANCED, ModelSpec

if TYPE_CHECKING:
    from core.llm.engine import Generation
    from core.llm.measure import Peak

USUAL_NEW_TOKENS = 256
StopString = Annotated[str, Field(min_length=1, max_length=64)]


class GenerateSpec(ModelSpec):
    """What to ask, and how to choose each next token. None: the model's own value, else the usual one."""

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
    from core.llm.encode import encode_chat, encode_text
    from core.llm.engine import Request
    from core.llm.sampling import resolve_sampling
    from core.llm.stamp import stamp

    resident = context.resident(spec.variant)
    engine, loaded = resident.engine, resident.loaded
    token_ids = encode_chat(loaded, spec.turns) if spec.turns else encode_text(loaded, spec.prompt)
    seed = secrets.randbits(32) if spec.seed is None else spec.seed
    sampling = resolve_sampling(loaded, spec.model_dump(), len(token_ids), seed)
    with context.memory() as peak:
        generation = engine.submit(Request(tuple(token_ids), sampling, resident.adapter))
        text = stream(generation, context)
    _keep(context, generation, peak)
    made_by = stamp(loaded, seed, spec.adapter)
    context.sample(Sample(messages=spec.turns, prompt=spec.prompt, completion=text, made_by=made_by))
    return GenerateResult(
        text=text,
        finish_reason=generation.finish_reason,
        prompt_tokens=generation.prompt_tokens,
        completion_tokens=generation.completion_tokens,
        parameters=sampling.as_dict(),
    )


def _keep(context: Context, generation: Generation, peak: Peak) -> None:
    for figure in speeds(generation):
        context.measurement(figure)
    for name, value, unit in (
        ("peak_bytes", peak.peak_bytes, "bytes"),
        ("resident_bytes", peak.resident_bytes, "bytes"),
        ("cache_bytes", generation.cache_bytes, "bytes"),
        ("shared_with", peak.shared_with, "jobs"),
    ):
        if value is not None:
            context.measurement(Measurement(name=name, value=value, unit=unit))


def _tokens(spec: GenerateSpec) -> int:
    """About as many as it will keep, rather too many: nearly every token of nearly every text has two bytes or more."""
    texts = (spec.prompt, spec.system, *(turn.content for turn in spec.messages))
    return sum(len(text.encode()) for text in texts) // 2 + (spec.max_new_tokens or USUAL_NEW_TOKENS)


def _check(spec: GenerateSpec, home: Path) -> None:
    check_prompt(spec.variant, home, spec.turns, spec.prompt)


KIND = Kind(
    name="generate",
    queue=Queue.INTERACTIVE,
    door=Door.PROMPTS,
    spec=GenerateSpec,
    result=GenerateResult,
    run=run,
    title=lambda spec: shorten(spec.prompt),
    words=lambda spec: spec.prompt,
    tokens=_tokens,
    check=_check,
    help="Ask a model",
)
