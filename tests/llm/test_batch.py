"""Rows decoded together get the tokens they would get alone, in every family of models that can be built small."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from core.llm.batch import Batch, PaddedBatch, SeparateRows
from core.llm.trial import kind_of_batch
from tests.llm.tiny import SEPARATE, SHARED, alone, prompt, tiny_model

PIECE = 4


@dataclass
class Visit:
    """A request of the schedule: when it comes, how long its prompt is and how many tokens it wants."""

    comes_at: int
    n_prompt: int
    n_new: int
    tokens: list[int] = field(default_factory=list)


def schedule() -> list[Visit]:
    """Short and long ones that come and go at different steps; once the batch is empty in between."""
    return [Visit(0, 3, 6), Visit(1, 11, 9), Visit(1, 5, 3), Visit(4, 9, 8), Visit(6, 2, 5), Visit(20, 4, 4)]


@torch.inference_mode()
def run(batch: Batch[Any], visits: list[Visit]) -> None:
    running: list[Visit] = []
    for step in range(30):
        comes = [visit for visit in visits if visit.comes_at == step]
        for group in [comes] if batch.is_shared else [[visit] for visit in comes]:
            read(batch, group, [prompt(visit.n_prompt, visits.index(visit)) for visit in group])
            running += group
        if running:
            picked = batch.step([visit.tokens[-1] for visit in running]).argmax(-1).tolist()
            for visit, token in zip(running, picked, strict=True):
                visit.tokens.append(token)
            stay = [index for index, visit in enumerate(running) if len(visit.tokens) < visit.n_new]
            batch.keep(stay)
            running = [running[index] for index in stay]


def read(batch: Batch[Any], group: list[Visit], prompts: list[list[int]]) -> None:
    """A single prompt in pieces where that is possible, several together."""
    if not group:
        return
    cache = batch.begin()
    if len(group) == 1 and batch.is_shared:
        logits = [batch.read(cache, [prompts[0][at : at + PIECE]]) for at in range(0, len(prompts[0]), PIECE)][-1]
    else:
        logits = batch.read(cache, prompts)
    batch.join(cache)
    for visit, token in zip(group, logits.argmax(-1).tolist(), strict=True):
        visit.tokens.append(token)


@pytest.mark.parametrize("family", SHARED)
def test_rows_that_come_and_go_get_the_tokens_they_would_get_alone(family: str) -> None:
    model = tiny_model(family)
    with torch.inference_mode():
        batch = kind_of_batch(model)(model)
    assert isinstance(batch, PaddedBatch)
    visits = schedule()
    run(batch, visits)
    for number, visit in enumerate(visits):
        assert visit.tokens == alone(model, prompt(visit.n_prompt, number), visit.n_new)


@pytest.mark.parametrize("family", SEPARATE)
def test_a_model_whose_cache_cannot_be_shared_is_decoded_row_by_row(family: str) -> None:
    model = tiny_model(family)
    with torch.inference_mode():
        batch = kind_of_batch(model)(model)
    assert isinstance(batch, SeparateRows)
    visits = schedule()
    run(batch, visits)
    for number, visit in enumerate(visits):
        assert visit.tokens == alone(model, prompt(visit.n_prompt, number), visit.n_new)


def test_a_model_that_counts_the_padding_is_found_out() -> None:
    model = tiny_model("gpt2")
    forward = model.forward

    def forward_without_positions(input_ids: torch.Tensor, **inputs: Any) -> Any:
        return forward(input_ids=input_ids, **inputs)

    model.forward = forward_without_positions
    with torch.inference_mode():
        assert kind_of_batch(model) is SeparateRows


def test_a_batch_that_outgrows_its_room_stays_right() -> None:
    model = tiny_model("mistral")
    visits = [Visit(0, 3, 25), Visit(2, 12, 20)]
    from core.llm import cache

    room, cache.ROOM = cache.ROOM, 5
    try:
        run(PaddedBatch(model), visits)
    finally:
        cache.ROOM = room
    assert [visit.tokens for visit in visits] == [alone(model, prompt(3, 0), 25), alone(model, prompt(12, 1), 20)]
