"""What kinds that let a model write have in common: the text is streamed as it comes, until the job is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.jobs.kind import Context
from core.values import Measurement

if TYPE_CHECKING:
    from core.llm.generation import Generation


def stream(generation: Generation, context: Context) -> str:
    """The whole text of a generation, each piece shown to whoever watches."""
    context.on_stop(generation.cancel)
    pieces = []
    for chunk in generation:
        pieces.append(chunk.text)
        context.token(chunk.text)
    return "".join(pieces)


def speeds(generation: Generation) -> list[Measurement]:
    """How fast it was: until the first token, and the tokens after it."""
    found = [("time_to_first_token_s", generation.time_to_first_token_s, "s")]
    if generation.decode_s and generation.completion_tokens > 1:
        # the first token is the prompt's work, so speed counts the ones after it
        found.append(("tokens_per_s", (generation.completion_tokens - 1) / generation.decode_s, "tokens/s"))
    return [Measurement(name=name, value=value, unit=unit) for name, value, unit in found if value is not None]
