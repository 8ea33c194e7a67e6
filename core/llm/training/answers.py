"""What a model answers while it learns, and which held-out rows it finds easy and hard."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig

from core.data.values import Row
from core.llm.rows import Encoded, written
from core.training.values import Judged, Try

FIRST_WORDS = 4
TEMPERATURE, TOP_P = 0.8, 0.95
MOST_CHARS = 2_000


def prompts_of(rows: Sequence[Row], n: int) -> list[Any]:
    """The beginnings of rows: the prompt where they have one, else their first words."""
    return [prompt_of(row, FIRST_WORDS) for row in rows[:n]]


def prompt_of(row: Row, n_words: int) -> Any:
    """The prompt of a row, all messages but the answer, or the first words of a text."""
    if "prompt" in row.fields:
        return row.fields["prompt"]
    if "messages" in row.fields:
        messages = row.fields["messages"]
        return messages[:-1] if len(messages) > 1 and messages[-1]["role"] == "assistant" else messages
    return " ".join(row.fields["text"].split()[:n_words])


def answer(
    model: Any, tokenizer: Any, prompts: Sequence[Any], max_new_tokens: int, most_tokens: int, step: int, seed: int
) -> tuple[Try, ...]:
    """One sampled answer to each prompt, or to its last `most_tokens` tokens, the same random numbers each time."""
    texts = [text_of(prompt, tokenizer) for prompt in prompts]
    found = []
    with generating(model, seed):
        for shown, text in zip(prompts, texts, strict=True):
            found_ids = tokenizer(text, return_tensors="pt", add_special_tokens=isinstance(shown, str))["input_ids"]
            ids = found_ids[:, -most_tokens:].to(model.device)
            made = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_new_tokens,
                do_sample=True,
                temperature=TEMPERATURE,
                top_p=TOP_P,
                top_k=0,
                use_cache=True,
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
            )[0, ids.shape[1] :].tolist()
            has_ended = bool(made) and made[-1] in ends_of(model, tokenizer)
            words = answer_of(tokenizer, ids[0].tolist(), made)
            found.append(Try(step=step, prompt=_shown(shown), completion=words, has_ended=has_ended))
    return tuple(found)


def judge(model: Any, tokenizer: Any, rows: Sequence[Encoded], n_at_once: int, seed: int) -> tuple[Judged, ...]:
    """The row with the lowest loss a token, the one with the highest, and one at random."""
    losses = list(_losses(model, tokenizer, rows, n_at_once))
    if not losses:
        return ()
    order = sorted(range(len(losses)), key=losses.__getitem__)
    chosen = {"best": order[0], "worst": order[-1], "random": random.Random(seed).randrange(len(losses))}  # noqa: S311
    return tuple(
        Judged(which=which, text=tokenizer.decode(rows[index].input_ids)[:MOST_CHARS], loss=losses[index])
        for which, index in chosen.items()
    )


@torch.inference_mode()
def _losses(model: Any, tokenizer: Any, rows: Sequence[Encoded], n_at_once: int) -> Iterator[float]:
    model.eval()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    for begin in range(0, len(rows), n_at_once):
        batch = rows[begin : begin + n_at_once]
        width = max(len(one.input_ids) for one in batch)
        ids = torch.tensor([[*one.input_ids, *[pad] * (width - len(one.input_ids))] for one in batch])
        mask = torch.tensor([[1] * len(one.input_ids) + [0] * (width - len(one.input_ids)) for one in batch])
        labels = torch.tensor([[*one.labels, *[-100] * (width - len(one.labels))] for one in batch])[:, 1:]
        logits = model(ids.to(model.device), attention_mask=mask.to(model.device)).logits[:, :-1]
        for of_row, wanted in zip(logits, labels, strict=True):
            is_trained = wanted != -100
            loss = nn.functional.cross_entropy(of_row[is_trained].float().cpu(), wanted[is_trained])
            yield float(loss) if is_trained.any() else 0.0


def text_of(prompt: Any, tokenizer: Any) -> str:
    """A prompt as the model reads it: messages through the chat template."""
    if isinstance(prompt, str):
        return prompt
    return written(prompt, tokenizer)


def answer_of(tokenizer: Any, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> str:
    """The text that stands behind a prompt: some tokenizers leave out the first space of what is decoded alone."""
    head = tokenizer.decode(prompt_ids, skip_special_tokens=True)
    both: str = tokenizer.decode([*prompt_ids, *answer_ids], skip_special_tokens=True)
    if both.startswith(head):
        return both[len(head) :]
    alone: str = tokenizer.decode(answer_ids, skip_special_tokens=True)
    return alone


def _shown(prompt: Any) -> str:
    return (prompt if isinstance(prompt, str) else str(prompt[-1]["content"]))[-MOST_CHARS:]


def ends_of(model: Any, tokenizer: Any) -> set[int]:
    """The tokens that end an answer."""
    own = model.generation_config.eos_token_id
    own = [own] if isinstance(own, int) else own or []
    return {*own, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])}


@contextmanager
def generating(model: Any, seed: int) -> Iterator[None]:
    """Ready to generate, with random numbers of its own: those of the training stay as they are.

    What the model's files say of penalties and the like does not count: answers are those of its weights alone.
    """
    was_training, own = model.training, model.generation_config
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.inference_mode():
        torch.manual_seed(seed)
        model.eval()
        plain: Any = GenerationConfig
        model.generation_config = plain(eos_token_id=own.eos_token_id, bos_token_id=own.bos_token_id)
        try:
            yield
        finally:
            model.generation_config = own
            model.train(was_training)
