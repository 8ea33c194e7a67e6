"""Counts a prompt's tokens from a model's files, without torch: what cannot fit is refused before it is queued.

Where the files are not on this machine nothing is said here; the worker checks again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from core.catalog import resolve
from core.errors import ContextExceeded
from core.values import Message
from core.variant import Variant


def check_prompt(variant: Variant, home: Path, turns: Sequence[Message], prompt: str) -> None:
    """Refuse a prompt that leaves no room for an answer.

    Raises:
        ContextExceeded: with how long it is and how long it may be.
    """
    try:
        folder = resolve(variant.model, home, variant.revision).folder
        context_length = _json(folder / "config.json").get("max_position_embeddings")
        text = _rendered(folder, turns) if turns else prompt
        n_tokens = len(_tokenizer(folder / "tokenizer.json").encode(text, add_special_tokens=not turns).ids)
    except Exception:  # the files are elsewhere, or a stranger's: the worker, which loads them, says what is wrong
        return
    if isinstance(context_length, int) and context_length > 0:
        check_context(n_tokens, context_length)


def check_context(n_tokens: int, context_length: int) -> None:
    """Refuse a prompt of `n_tokens` where the context holds no token more than that.

    Raises:
        ContextExceeded: with both figures.
    """
    if n_tokens >= context_length:
        raise ContextExceeded(
            f"The prompt is {n_tokens:,} tokens long; the model's context holds {context_length:,} with its answer.",
            "Shorten the prompt or drop earlier turns.",
        )


def _rendered(folder: Path, turns: Sequence[Message]) -> str:
    config = _json(folder / "tokenizer_config.json")
    template = folder / "chat_template.jinja"
    source = template.read_text(encoding="utf-8") if template.exists() else config["chat_template"]
    tokens = {name: _token(config.get(name)) for name in ("bos_token", "eos_token")}
    messages = [turn.model_dump() for turn in turns]
    return _environment().from_string(source).render(messages=messages, add_generation_prompt=True, **tokens)


def _token(value: Any) -> str:
    return str(value["content"] if isinstance(value, dict) else value or "")


def _environment() -> ImmutableSandboxedEnvironment:
    """Templates come from strangers: as sandboxed, and with the same block trimming, as in transformers."""
    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


@lru_cache(maxsize=4)
def _tokenizer(path: Path) -> Tokenizer:
    if not path.exists():  # the library raises a bare Exception
        raise OSError(f"{path} is missing")
    return Tokenizer.from_file(str(path))
