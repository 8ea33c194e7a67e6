"""How the tests ask an engine, and what they compare its answers with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core.llm.engine import Engine, Generation, Request
from core.llm.sampling import Sampling

EngineOf = Callable[..., Engine]
GREEDY = Sampling(20, temperature=0.0, top_p=1.0, top_k=0, repetition_penalty=1.0, seed=0, stop=())
WARM = replace(GREEDY, temperature=1.0, top_k=50, top_p=0.95)


def ask(prompt_ids: list[int], sampling: Sampling = GREEDY, **changes: Any) -> Request:
    return Request(tuple(prompt_ids), replace(sampling, **changes))


def text_of(generation: Generation) -> str:
    return "".join(chunk.text for chunk in generation)


def words(token_ids: list[int]) -> str:
    return " ".join(f"w{token_id}" for token_id in token_ids)
