"""Answers to many prompts at once, sampled with random numbers of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from core.llm.training.answers import answer_of, ends_of, generating, text_of


@dataclass(frozen=True, slots=True)
class Completion:
    """What was answered; `prompt` as the model read it."""

    prompt: str
    text: str
    n_tokens: int
    has_ended: bool


def complete(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Any],
    *,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    at_once: int,
) -> list[Completion]:
    """One answer to each prompt, a text or messages, so many at once: the same for the same seed and weights."""
    with generating(model, seed):
        return [
            one
            for begin in range(0, len(prompts), at_once)
            for one in _batch(
                model,
                tokenizer,
                [(prompt, text_of(prompt, tokenizer)) for prompt in prompts[begin : begin + at_once]],
                {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p},
            )
        ]


def _batch(model: Any, tokenizer: Any, prompts: Sequence[tuple[Any, str]], how: dict[str, Any]) -> Iterator[Completion]:
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    rows = [tokenizer(text, add_special_tokens=isinstance(asked, str))["input_ids"] for asked, text in prompts]
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device)
    made = model.generate(
        input_ids=ids, attention_mask=mask, do_sample=True, top_k=0, use_cache=True, pad_token_id=pad, **how
    )[:, width:].tolist()
    ends = ends_of(model, tokenizer)
    for (_, text), asked, row in zip(prompts, rows, made, strict=True):
        stop = next((at for at, token in enumerate(row) if token in ends), None)
        kept = row if stop is None else row[: stop + 1]
        words = answer_of(tokenizer, asked, kept)
        yield Completion(text, words, len(kept), stop is not None)
