"""What goes wrong in the engine reaches whom it concerns, spares the others, and lets nobody wait for ever."""

from __future__ import annotations

import threading

import pytest
import torch

from core.errors import ContextExceeded, ModelBroken, OutOfMemory
from core.llm.engine import Engine
from core.llm.loading import LoadedModel
from tests.llm.asking import EngineOf, ask, text_of, words
from tests.llm.tiny import CONTEXT_LENGTH, N_TOKENS, alone, before_each_step, held_still, prompt


def test_a_group_that_fails_is_read_again_one_by_one(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny)

    def run_out(ids: torch.Tensor) -> None:
        if ids.shape[1] > 5 and len(ids) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with held_still(tiny.model) as go_on, before_each_step(tiny.model, run_out):
        generations = [engine.submit(ask(prompt(8, seed))) for seed in range(4)]
        go_on.set()
        for seed, generation in enumerate(generations):
            assert text_of(generation) == words(alone(tiny.model, prompt(8, seed), 20))


def test_an_error_in_a_step_reaches_all_that_run_and_spares_later_requests(
    tiny: LoadedModel, engine_of: EngineOf
) -> None:
    engine = engine_of(tiny)

    def break_down(ids: torch.Tensor) -> None:
        if ids.shape == (2, 1):
            raise ZeroDivisionError("a bug")

    with held_still(tiny.model) as go_on, before_each_step(tiny.model, break_down):
        generations = [engine.submit(ask(prompt(4, seed))) for seed in (1, 2)]
        go_on.set()
        for generation in generations:
            with pytest.raises(ZeroDivisionError, match="a bug"):
                text_of(generation)
    assert not engine.is_busy
    assert text_of(engine.submit(ask(prompt(4, 3)))) == words(alone(tiny.model, prompt(4, 3), 20))


def test_an_error_while_a_prompt_is_read_hurts_nobody_else(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny)

    def run_out(ids: torch.Tensor) -> None:
        if ids.shape[1] == 9:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with held_still(tiny.model) as go_on, before_each_step(tiny.model, run_out):
        small, large = engine.submit(ask(prompt(4, 1))), engine.submit(ask(prompt(9, 2)))
        go_on.set()
        with pytest.raises(OutOfMemory, match="too little memory"):
            text_of(large)
        assert text_of(small) == words(alone(tiny.model, prompt(4, 1), 20))


def test_a_host_without_memory_is_told_from_a_bug(tiny: LoadedModel, engine_of: EngineOf) -> None:
    def run_out(_: torch.Tensor) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    engine = engine_of(tiny)
    with before_each_step(tiny.model, run_out):
        generation = engine.submit(ask(prompt(4, 1)))
        with pytest.raises(OutOfMemory):
            text_of(generation)


def test_damaged_weights_fail_the_request_with_a_sentence(tiny: LoadedModel, engine_of: EngineOf) -> None:
    with torch.no_grad():
        tiny.model.lm_head.weight.fill_(float("nan"))
    generation = engine_of(tiny).submit(ask(prompt(4, 1)))
    with pytest.raises(ModelBroken, match="damaged"):
        text_of(generation)


def test_closing_ends_what_runs_and_takes_nothing_more(tiny: LoadedModel) -> None:
    engine = Engine(tiny, max_rows=1)
    running, waiting = engine.submit(ask(prompt(4, 1), max_new_tokens=150)), engine.submit(ask(prompt(4, 2)))
    next(running)
    engine.close()
    for generation in (running, waiting):
        text_of(generation)
    assert (running.finish_reason, waiting.finish_reason) == ("cancelled", "cancelled")
    assert not any(thread.name.startswith("engine tiny") for thread in threading.enumerate())
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit(ask(prompt(4, 3)))


def test_a_prompt_that_fills_the_context_is_refused(tiny: LoadedModel, engine_of: EngineOf) -> None:
    with pytest.raises(ContextExceeded, match=str(CONTEXT_LENGTH)):
        engine_of(tiny).submit(ask(prompt(CONTEXT_LENGTH, 1)))


def test_a_token_that_the_model_does_not_know_is_refused(tiny: LoadedModel, engine_of: EngineOf) -> None:
    with pytest.raises(ModelBroken, match="does not know"):
        engine_of(tiny).submit(ask([5, N_TOKENS]))


def test_the_finish_reason_is_not_known_before_the_end(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny)
    with held_still(tiny.model):
        generation = engine.submit(ask(prompt(4, 1)))
        with pytest.raises(RuntimeError, match="not ended"):
            _ = generation.finish_reason
