"""The next token is drawn from the distribution that transformers' own processors leave, by the request's own seed."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from core.errors import ContextExceeded
from core.llm.loading import LoadedModel
from core.llm.sampling import Sampler, Sampling, resolve_sampling
from tests.llm.tiny import CONTEXT_LENGTH

N_VOCABULARY = 300
PROMPT = (3, 5, 5, 250)
PLAIN = Sampling(10, temperature=1.0, top_p=1.0, top_k=0, repetition_penalty=1.0, seed=1, stop=())


def logits() -> torch.Tensor:
    return torch.randn(N_VOCABULARY, generator=torch.Generator().manual_seed(3)) * 3


def theirs(sampling: Sampling, logits_V: torch.Tensor) -> torch.Tensor:
    """What `generate` with the same values draws from."""
    chain: Any = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        chain.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    chain.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        chain.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(TopPLogitsWarper(sampling.top_p))
    scores: torch.Tensor = chain(torch.tensor([PROMPT]), logits_V[None].clone())
    return scores.softmax(-1)[0]


def ours(sampling: Sampling, logits_V: torch.Tensor) -> torch.Tensor:
    sampler = Sampler(sampling, PROMPT, "cpu")
    probs_K, ids_K = sampler.distribution(sampler._penalised(logits_V))
    return torch.zeros(N_VOCABULARY).scatter(0, ids_K, probs_K)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "penalty"),
    list(itertools.product((0.3, 1.0, 1.9), (0, 1, 40, 1000), (0.0, 0.6, 0.95, 1.0), (0.7, 1.0, 1.4))),
)
def test_the_distribution_is_the_one_of_generate(temperature: float, top_k: int, top_p: float, penalty: float) -> None:
    sampling = replace(PLAIN, temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty)
    torch.testing.assert_close(ours(sampling, logits()), theirs(sampling, logits()), atol=1e-6, rtol=1e-4)


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    sampling = replace(PLAIN, temperature=1.2, top_k=20, top_p=0.9)
    sampler = Sampler(sampling, PROMPT, "cpu")
    draws = torch.stack([sampler.pick(logits()) for _ in range(5000)])
    shares = torch.bincount(draws, minlength=N_VOCABULARY) / len(draws)
    expected = theirs(sampling, logits())
    assert (shares - expected).abs().sum() / 2 < 0.03
    assert not shares[expected == 0].any()


def test_temperature_zero_takes_the_likeliest() -> None:
    assert Sampler(replace(PLAIN, temperature=0.0), PROMPT, "cpu").pick(logits()) == logits().argmax()


def test_the_penalty_counts_tokens_of_the_answer_as_well() -> None:
    sampler = Sampler(replace(PLAIN, temperature=0.0, repetition_penalty=100.0), PROMPT, "cpu")
    picked = [int(sampler.pick(logits())) for _ in range(5)]
    assert len(set(picked)) == 5


def test_two_samplers_with_one_seed_draw_alike() -> None:
    first, second = Sampler(PLAIN, PROMPT, "cpu"), Sampler(PLAIN, PROMPT, "cpu")
    assert [int(first.pick(logits())) for _ in range(20)] == [int(second.pick(logits())) for _ in range(20)]


def with_file(tiny: LoadedModel, **fields: Any) -> LoadedModel:
    tiny.model.generation_config = GenerationConfig.from_dict(fields)
    return tiny


def resolved(loaded: LoadedModel, **asked: Any) -> Sampling:
    return resolve_sampling(loaded, asked, 10, seed=5)


def test_without_any_word_the_usual_values_apply(tiny: LoadedModel) -> None:
    sampling = resolved(with_file(tiny, eos_token_id=1), temperature=None, stop=())
    assert sampling == Sampling(CONTEXT_LENGTH - 10, 0.7, 0.95, 50, 1.0, seed=5, stop=())


def test_what_the_model_s_own_file_sets_comes_before_the_usual_values(tiny: LoadedModel) -> None:
    loaded = with_file(tiny, temperature=0.2, top_p=0.5, top_k=3, repetition_penalty=1.1, max_new_tokens=7)
    assert resolved(loaded) == Sampling(7, 0.2, 0.5, 3, 1.1, seed=5, stop=())


def test_what_was_asked_comes_first_and_zero_counts_as_asked(tiny: LoadedModel) -> None:
    loaded = with_file(tiny, temperature=0.2, top_k=3, stop_strings=["END"])
    sampling = resolved(loaded, temperature=0.0, top_k=0, max_new_tokens=3, stop=("x", "y"), model="ignored")
    assert (sampling.temperature, sampling.top_k, sampling.max_new_tokens) == (0.0, 0, 3)
    assert sampling.stop == ("x", "y")
    assert resolved(loaded).stop == ("END",)


def test_a_model_that_says_it_does_not_sample_is_greedy_unless_asked(tiny: LoadedModel) -> None:
    loaded = with_file(tiny, do_sample=False)
    assert resolved(loaded).is_plain_greedy
    assert resolved(loaded, temperature=0.9).temperature == 0.9


def test_an_answer_is_cut_to_what_the_context_leaves(tiny: LoadedModel) -> None:
    assert resolve_sampling(tiny, {"max_new_tokens": 100}, CONTEXT_LENGTH - 4, seed=1).max_new_tokens == 4
    with pytest.raises(ContextExceeded):
        resolve_sampling(tiny, {}, CONTEXT_LENGTH, seed=1)


def test_the_values_are_kept_under_their_usual_names() -> None:
    assert PLAIN.as_dict() == {
        "max_new_tokens": 10,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "repetition_penalty": 1.0,
        "seed": 1,
        "stop": [],
    }
