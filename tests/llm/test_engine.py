"""The engine seam: submit, iterate, cancel; many at once, each as if it were alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from core.llm.engine import Engine, Generation
from core.llm.loading import LoadedModel
from tests.llm.asking import WARM, EngineOf, ask, text_of, words
from tests.llm.tiny import SEPARATE, alone, as_loaded, before_each_step, held_still, prompt, tiny_model
from tests.support import eventually


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text", *SEPARATE])
def test_requests_that_arrive_together_get_the_text_they_would_get_alone(family: str, engine_of: EngineOf) -> None:
    model = tiny_model(family)
    engine = engine_of(as_loaded(model))
    prompts = [prompt(length, length) for length in (3, 9, 1, 14, 6)]
    expected = [words(alone(model, each, 5 + index)) for index, each in enumerate(prompts)]
    with held_still(model) as go_on:
        generations = [engine.submit(ask(each, max_new_tokens=5 + index)) for index, each in enumerate(prompts)]
        go_on.set()
        assert [text_of(generation) for generation in generations] == expected
    assert [generation.shared_with for generation in generations] == [4, 4, 4, 4, 4]
    assert {generation.finish_reason for generation in generations} == {"length"}


def test_a_request_that_comes_later_joins_the_ones_that_run(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny)
    later: list[Generation] = []

    def come_later(_: torch.Tensor) -> None:
        if first.completion_tokens == 3 and not later:
            later.append(engine.submit(ask(prompt(8, 2))))

    with held_still(tiny.model) as go_on, before_each_step(tiny.model, come_later):
        first = engine.submit(ask(prompt(5, 1), max_new_tokens=9))
        go_on.set()
        assert text_of(first) == words(alone(tiny.model, prompt(5, 1), 9))
    assert text_of(later[0]) == words(alone(tiny.model, prompt(8, 2), 20))
    assert (first.shared_with, later[0].shared_with) == (1, 1)


def test_more_requests_than_rows_wait_and_are_all_answered(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny, max_rows=2)
    generations = [engine.submit(ask(prompt(4, seed))) for seed in range(7)]
    for seed, generation in enumerate(generations):
        assert text_of(generation) == words(alone(tiny.model, prompt(4, seed), 20))
        assert generation.shared_with <= 1
    assert not engine.is_busy


def test_the_same_seed_gives_the_same_text_and_another_seed_another(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny)
    texts = [text_of(engine.submit(ask(prompt(6, 3), WARM, seed=seed))) for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


def test_greedy_and_sampled_requests_share_a_batch(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny)
    sampled_alone = text_of(engine.submit(ask(prompt(6, 3), WARM, seed=7)))
    with held_still(tiny.model) as go_on:
        greedy, sampled = engine.submit(ask(prompt(4, 1))), engine.submit(ask(prompt(6, 3), WARM, seed=7))
        go_on.set()
        assert text_of(greedy) == words(alone(tiny.model, prompt(4, 1), 20))
        assert text_of(sampled) == sampled_alone


def test_a_repetition_penalty_counts_prompt_and_answer_as_generate_does(tiny: LoadedModel, engine_of: EngineOf) -> None:
    made = text_of(engine_of(tiny).submit(ask(prompt(9, 4), repetition_penalty=1.6)))
    assert made == words(alone(tiny.model, prompt(9, 4), 20, repetition_penalty=1.6))
    assert made != words(alone(tiny.model, prompt(9, 4), 20))


def test_a_cancelled_request_keeps_the_text_so_far(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny)
    whole = words(alone(tiny.model, prompt(5, 1), 100))
    generation = engine.submit(ask(prompt(5, 1), max_new_tokens=100))
    begun = next(generation).text + next(generation).text
    generation.cancel()
    text = begun + text_of(generation)
    assert generation.finish_reason == "cancelled"
    assert whole.startswith(text)
    assert begun in text
    assert len(text.split()) == generation.completion_tokens < 100


def test_a_cancelled_request_costs_no_more_steps(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine, shapes = engine_of(tiny), []

    def cancel_after_three(ids: torch.Tensor) -> None:
        shapes.append(tuple(ids.shape))
        if first.completion_tokens == 3:
            first.cancel()

    with held_still(tiny.model) as go_on, before_each_step(tiny.model, cancel_after_three):
        first, second = engine.submit(ask(prompt(5, 1))), engine.submit(ask(prompt(5, 2)))
        go_on.set()
        assert text_of(second) == words(alone(tiny.model, prompt(5, 2), 20))
    assert shapes.count((2, 1)) <= 3
    assert len(text_of(first).split()) == first.completion_tokens == 4


def test_a_cancel_shows_what_was_held_back_for_a_stop_string(tiny: LoadedModel, engine_of: EngineOf) -> None:
    expected = alone(tiny.model, prompt(5, 1), 3)
    never = words(expected) + " and never this"
    engine = engine_of(tiny)
    with held_still(tiny.model) as go_on:
        generation = engine.submit(ask(prompt(5, 1), stop=(never,), max_new_tokens=100))

        def cancel_after_two(_: torch.Tensor) -> None:
            if generation.completion_tokens == 2:
                generation.cancel()

        with before_each_step(tiny.model, cancel_after_two):
            go_on.set()
            assert text_of(generation) == words(expected)
    assert generation.finish_reason == "cancelled"


def test_a_request_that_is_cancelled_before_its_turn_never_begins(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny, max_rows=1)
    with held_still(tiny.model) as go_on:
        first, second = engine.submit(ask(prompt(4, 1))), engine.submit(ask(prompt(4, 2)))
        second.cancel()
        go_on.set()
        assert text_of(second) == ""
        assert len(text_of(first).split()) == 20
    assert second.finish_reason == "cancelled"
    assert second.completion_tokens == 0
    assert second.time_to_first_token_s is None


def test_a_cancel_ends_a_long_prompt_while_it_is_read(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny, prefill_tokens=8)
    pieces: list[int] = []
    generation = None

    def count(ids: torch.Tensor) -> None:
        pieces.append(ids.shape[1])
        if generation is not None and len(pieces) == 3:
            generation.cancel()

    with held_still(tiny.model) as go_on, before_each_step(tiny.model, count):
        generation = engine.submit(ask(prompt(120, 1)))
        go_on.set()
        assert text_of(generation) == ""
    assert generation.finish_reason == "cancelled"
    assert pieces == [8, 8, 8]


def test_a_long_prompt_is_read_in_pieces_and_gives_the_same_text(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny, prefill_tokens=16)
    sizes: list[int] = []
    with before_each_step(tiny.model, lambda ids: sizes.append(ids.shape[1])):
        made = text_of(engine.submit(ask(prompt(100, 1))))
    assert sizes[:7] == [16, 16, 16, 16, 16, 16, 4]
    assert made == words(alone(tiny.model, prompt(100, 1), 20))


def test_a_long_prompt_does_not_stop_the_others(tiny: LoadedModel, engine_of: EngineOf) -> None:
    engine = engine_of(tiny, prefill_tokens=8)
    with held_still(tiny.model) as go_on:
        long, short = engine.submit(ask(prompt(80, 1))), engine.submit(ask(prompt(4, 2), max_new_tokens=60))
        go_on.set()
        next(long)
        # the long prompt takes ten turns; after the short one was read, each gives it a token
        assert short.completion_tokens >= 8
    assert text_of(short) == words(alone(tiny.model, prompt(4, 2), 60))


def shapes_of(engine: Engine, lengths: list[int]) -> list[tuple[int, ...]]:
    """(rows, tokens) of each call of the model: a first prompt of 30 tokens, and prompts that wait behind it."""
    model, shapes = engine.loaded.model, []
    with before_each_step(model, lambda ids: shapes.append(tuple(ids.shape))), held_still(model) as go_on:
        generations = [engine.submit(ask(prompt(30, 9)))]
        eventually(lambda: shapes == [(1, 30)])  # the model stands still in it, so the others wait
        generations += [engine.submit(ask(prompt(length, 1))) for length in lengths]
        go_on.set()
        for generation in generations:
            text_of(generation)
    return shapes


def test_short_prompts_that_wait_are_read_together_before_the_next_step(tiny: LoadedModel, engine_of: EngineOf) -> None:
    shapes = shapes_of(engine_of(tiny, prefill_tokens=64), [9, 10, 11, 40])
    # three fit together; 40 do not fit into what they leave of the 64
    assert shapes[:5] == [(1, 30), (1, 1), (3, 11), (4, 1), (1, 40)]


def test_prompts_that_would_be_mostly_padding_are_read_apart(tiny: LoadedModel, engine_of: EngineOf) -> None:
    shapes = shapes_of(engine_of(tiny, prefill_tokens=128), [2, 2, 2, 30])
    assert shapes[:5] == [(1, 30), (1, 1), (3, 2), (1, 30), (5, 1)]


def test_a_stop_string_ends_the_answer_before_it(tiny: LoadedModel, engine_of: EngineOf) -> None:
    expected = alone(tiny.model, prompt(5, 1), 20)
    stop = words(expected[6:8])
    generation = engine_of(tiny).submit(ask(prompt(5, 1), stop=("never", stop)))
    assert text_of(generation) == words(expected).split(stop)[0]
    assert generation.finish_reason == "stop"
    assert generation.completion_tokens == 8


def test_an_end_token_ends_the_answer_and_is_not_shown(tiny: LoadedModel, engine_of: EngineOf) -> None:
    expected = alone(tiny.model, prompt(5, 1), 20)
    end = expected[4]
    generation = engine_of(replace(tiny, eos_ids=frozenset([end]))).submit(ask(prompt(5, 1)))
    assert text_of(generation) == words(expected[: expected.index(end)])
    assert generation.finish_reason == "stop"
    assert generation.completion_tokens == expected.index(end) + 1


def test_the_chunks_count_every_token(tiny: LoadedModel, engine_of: EngineOf) -> None:
    generation = engine_of(tiny).submit(ask(prompt(5, 1), stop=("w",), max_new_tokens=7))
    chunks = list(generation)
    assert sum(chunk.n_tokens for chunk in chunks) == generation.completion_tokens
    assert generation.prompt_tokens == 5
    assert list(generation) == []


def test_an_answer_of_one_token_has_its_figures(tiny: LoadedModel, engine_of: EngineOf) -> None:
    generation = engine_of(tiny).submit(ask(prompt(5, 1), max_new_tokens=1))
    assert text_of(generation) == words(alone(tiny.model, prompt(5, 1), 1))
    assert generation.finish_reason == "length"
    assert generation.decode_s == 0
    assert (generation.time_to_first_token_s or 0) > 0
