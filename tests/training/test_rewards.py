"""Rewards as they are written, texts as they are counted, and the guards over what is logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.abilities import Choice
from core.comparison.builtin_texts import builtin_lexicon
from core.errors import BadInput
from core.jobs.kind import Machine
from core.jobs.rlhf import RlhfSpec, peak_for
from core.llm.abilities import abilities
from core.llm.rewards import open_rewards
from core.memory import read_model
from core.precision import Precision
from core.training.guards import HELD_OUT, KL, LENGTH, ONE_WORD, REPEATS, Guards
from core.training.rewards import Reward, Scale, Sort, parse_reward, parse_rewards
from core.training.texts import distinct_pairs, most_shared, n_distinct_words
from tests.llm.tiny import keep_classifier

LLAMA_2_7B: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
    "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
NEOX_20B: dict[str, Any] = {
    "model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "hidden_size": 6144, "intermediate_size": 24576,
    "num_hidden_layers": 44, "num_attention_heads": 64, "vocab_size": 50432, "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}  # fmt: skip
BERT_BYTES = 450_000_000  # a classifier of 110 million weights in float32, with room to score a batch
T4_BYTES, CARD_24_BYTES = 15.6e9, 24e9 - 0.7e9  # what a driver leaves of them


@pytest.mark.parametrize(
    ("text", "reward", "name"),
    [
        ("lexicon", Reward(Sort.LEXICON), "lexicon"),
        (" length:20 * 0.5 ", Reward(Sort.LENGTH, "20", weight=0.5), "length 20"),
        ("words:good, great*-1", Reward(Sort.WORDS, "good, great", weight=-1.0), "words good, great"),
        ("model:a/b,label=POS", Reward(Sort.MODEL, "a/b", "POS"), "POS"),
        ("model:a/b,label=1,scale=logit*2", Reward(Sort.MODEL, "a/b", "1", Scale.LOGIT, 2.0), "1"),
        ("model:01ABC", Reward(Sort.MODEL, "01ABC"), "model"),
        ("lexicon*0", Reward(Sort.LEXICON, weight=0.0), "held-out lexicon"),
    ],
)
def test_a_reward_is_read_as_it_is_written(text: str, reward: Reward, name: str) -> None:
    found = parse_reward(text)
    assert found == reward
    assert found.name == name


def test_rewards_that_would_be_called_the_same_are_counted() -> None:
    found = parse_rewards(("model:a", "model:b*0.5", "model:a,label=x", "model:b,label=x", "model:c*0"))
    assert [one.name for one in found] == ["model", "model 2", "x", "x 2", "held-out model"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("taste", "taste is no reward"),
        ("", "nothing is no reward"),
        ("model:", "which model"),
        ("model:a,colour=red", "neither label=… nor scale=…"),
        ("model:a,scale=odd", "odd is no scale"),
        ("words: ,", "which words"),
        ("length:-3", "how many words"),
        ("length:0", "how many words"),
        ("lexicon:en", "takes nothing after a colon"),
        ("lexicon*much", "much is no weight"),
        ("lexicon*nan", "nan is no weight"),
    ],
)
def test_what_is_no_reward_is_refused_with_a_way_out(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        parse_reward(text)
    assert caught.value.hint


def test_functions_score_as_they_say(tmp_path: Path) -> None:
    rewards = open_rewards(parse_rewards(("words:good,Fine", "length:4", "lexicon*0")), tmp_path, lambda _: None)
    answers = ["Good, good and fine.", "", "It is bad", "One two three four five six seven eight"]
    found = rewards.score([""] * 4, answers)
    assert found["words good,Fine"] == [3.0, 0.0, 0.0, 0.0]
    assert found["length 4"] == [1.0, 0.0, 0.75, 0.5]
    praise, nothing, blame, neutral = found["held-out lexicon"]
    assert 0.7 < praise < 1
    assert nothing == neutral == 0.0
    assert -1 < blame < -0.4
    assert rewards.weights == (1.0, 1.0, 0.0)
    assert len(builtin_lexicon(tmp_path, lambda _: None)) == 7_506


def test_a_model_scores_a_prompt_with_its_answer_and_must_have_the_label(tmp_path: Path) -> None:
    folder = keep_classifier(tmp_path / "judge", "llama")
    told: list[str] = []
    written = (f"model:{folder},label=positive", f"model:{folder},label=negative,scale=probability*0.5")
    rewards = open_rewards(parse_rewards(written), tmp_path, told.append)
    assert len(rewards.models) == 1, "one model for two labels"
    found = rewards.score(["w3 ", "w4 "], ["w5 w6", "w7"])
    other = rewards.score(["", ""], ["w3 w5 w6", "w4 w7"])
    assert found["positive"] == pytest.approx(other["positive"], rel=1e-5)
    assert all(0 < one < 1 for one in found["negative"])
    with pytest.raises(BadInput, match="no label great"):
        open_rewards((parse_reward(f"model:{folder},label=great"),), tmp_path, told.append)


def test_texts_are_counted() -> None:
    assert distinct_pairs(["a b c", "a b d"]) == 3 / 4
    assert distinct_pairs(["one", ""]) == 1.0
    assert n_distinct_words(["The film, the FILM", "don't"]) == 3
    assert most_shared(["great film", "a great day", "of no use", ""]) == ("great", 0.5)
    assert most_shared(["a b", ""]) == ("", 0.0)


def looked(guards: Guards, steps: list[dict[str, float]]) -> list[tuple[int, str]]:
    return [(one.step, one.sign) for step, figures in enumerate(steps, 1) for one in guards.look(step, figures)]


STEADY: dict[str, float] = {
    "kl": 0.01, "reward": 0.0, "reward_std": 1.0, "held_out_reward": 0.0, "held_out_std": 1.0, "distinct": 0.9,
    "one_word": 0.2, "completion_length": 20.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "sign"),
    [
        ({"kl": 3.0}, KL),
        ({"reward": 2.0, "held_out_reward": -2.0}, HELD_OUT),
        ({"distinct": 0.3}, REPEATS),
        ({"one_word": 0.9}, ONE_WORD),
        ({"completion_length": 70.0}, LENGTH),
        ({"completion_length": 4.0}, LENGTH),
    ],
)
def test_each_sign_is_told_once(changed: dict[str, float], sign: str) -> None:
    steps = [STEADY] * 5 + [STEADY | changed] * 5
    assert [found for _, found in looked(Guards(1.0), steps)] == [sign]


@pytest.mark.parametrize(
    "changed",
    [{}, {"reward": 3.0}, {"reward": 3.0, "held_out_reward": 1.0}, {"distinct": 0.7}, {"one_word": 0.45}],
)
def test_a_run_that_learns_well_sounds_no_alarm(changed: dict[str, float]) -> None:
    assert not looked(Guards(1.0), [STEADY] * 5 + [STEADY | changed] * 5)


def test_one_step_alone_is_no_sign_and_what_is_not_logged_is_not_looked_at() -> None:
    assert not looked(Guards(1.0), [STEADY] * 5 + [STEADY | {"distinct": 0.3}] + [STEADY] * 5)
    assert not looked(Guards(0.0), [{"kl": 9.0}] * 9)
    assert not looked(Guards(1.0), [{"reward": 1.0}] * 9)


@pytest.mark.parametrize(
    ("config", "dtype", "limit", "fields"),
    [
        (LLAMA_2_7B, Precision.NF4, T4_BYTES, {"max_prompt_length": 64, "max_completion_length": 64}),
        (
            NEOX_20B,
            Precision.INT8,
            CARD_24_BYTES,
            {"max_prompt_length": 16, "max_completion_length": 32, "target_modules": ["query_key_value"]},
        ),
    ],
)
def test_policy_and_classifier_fit_a_card_by_the_estimator(
    config: dict[str, Any], dtype: Precision, limit: float, fields: dict[str, Any], tmp_path: Path
) -> None:
    given = {"dtype": str(dtype), "per_device_train_batch_size": 8, "optim": "adamw_8bit", **fields}
    spec = RlhfSpec.model_validate_json(json.dumps(given))
    choice = Choice(dtype, "sdpa", "float16", 6.0)
    machine = Machine(abilities("cpu"), "gpu", int(limit), tmp_path)
    needed = peak_for(spec, read_model(config), choice, machine)
    assert 0 < needed + BERT_BYTES < limit


def test_the_rewards_models_are_counted_beside_the_policy(tmp_path: Path) -> None:
    folder = keep_classifier(tmp_path / "judge", "llama")
    machine = Machine(abilities("cpu"), "host", 8_000_000_000, tmp_path)
    choice = Choice(Precision.FLOAT32, "sdpa", "float32", 6.0)
    alone = peak_for(RlhfSpec(), read_model(LLAMA_2_7B), choice, machine)
    beside = peak_for(RlhfSpec(rewards=(f"model:{folder},label=positive",)), read_model(LLAMA_2_7B), choice, machine)
    assert beside > alone
