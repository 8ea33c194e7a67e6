"""Reinforcement learning on tiny models: TRL's own curves, an unmoved reference, guards, and nothing lost at a stop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset  # type: ignore[import-untyped]
from peft import LoraConfig
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer

from core.data.read import read_data
from core.data.spec import DataFields
from core.errors import BadInput, NotANumber
from core.jobs.rlhf import RlhfResult, RlhfSpec
from core.llm import rewards as scoring
from core.llm.rewards import Rewards
from core.llm.training import reinforcing
from core.llm.training.rl_trainers import make_trainer
from core.llm.training.steady import Steady
from core.training.guards import KL, ONE_WORD, REPEATS
from core.training.rewards import Reward, Sort
from core.values import ArtifactKind
from tests.llm.tiny import tiny_model, word_tokenizer
from tests.llm.training.door import Door, make_model, write_rows

COUNTED = frozenset(f"w{n}" for n in range(2, 90))
BY_WORDS = f"words:{','.join(sorted(COUNTED))}"
QUICK: dict[str, Any] = {
    "max_steps": 4,
    "per_device_train_batch_size": 4,
    "num_generations": 2,
    "max_completion_length": 6,
    "learning_rate": 0.02,
    "r": 4,
    "lora_alpha": 8,
    "beta": 0.1,
    "eval_share": 0.3,
    "eval_prompts": 6,
    "eval_steps": 2,
    "save_steps": 2,
    "max_new_tokens": 2,
    "max_kl": 0,
    "prompts": ["w5 w6"],
}
PAIRS = [{"prompt": f"w{2 + n} w7", "chosen": " w3 w4 w5", "rejected": f" w8 w9 w{10 + n % 7}"} for n in range(40)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, PAIRS)))
    return str(path)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def reinforced(door: Door, model: str, data: str, **fields: Any) -> RlhfResult:
    """Train as a job does."""
    given = {**QUICK, "rewards": [BY_WORDS], "model": model, "data": data, **fields}
    spec = RlhfSpec.model_validate_json(json.dumps(given))
    return reinforcing.Reinforcing(spec, door, RlhfResult).run()  # type: ignore[arg-type]


def count(completions: Sequence[str], **_: Any) -> list[float]:
    return [float(sum(word in COUNTED for word in one.split())) for one in completions]


def by_hand(algorithm: str, model: str, data: str, folder: Path) -> list[dict[str, float]]:
    """What a plain script over TRL logs."""
    found = read_data(DataFields(data=data, eval_share=QUICK["eval_share"]), folder, lambda _: None)
    usual = {
        "output_dir": str(folder / "by-hand"), "max_steps": QUICK["max_steps"], "report_to": "none", "use_cpu": True,
        "per_device_train_batch_size": 4, "learning_rate": 0.02, "bf16": False, "gradient_checkpointing": False,
        "logging_steps": 1, "save_strategy": "no", "beta": 0.1, "seed": 42,
    }  # fmt: skip
    shared: dict[str, Any] = {
        "model": AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        "processing_class": AutoTokenizer.from_pretrained(model),
        "peft_config": LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    }
    if algorithm == "dpo":
        dataset = Dataset.from_list([row.fields for row in found.train])
        trainer: Any = DPOTrainer(args=DPOConfig(**usual, max_length=512), train_dataset=dataset, **shared)
    else:
        prompts = dict.fromkeys(" ".join(row.fields["text"].split()[:4]) for row in found.train)
        shared |= {"train_dataset": Dataset.from_dict({"prompt": list(prompts)}), "reward_funcs": [count]}
        online: dict[str, Any] = usual | {"num_generations": 2, "max_completion_length": 6}
        is_rloo = algorithm == "rloo"
        trainer = (
            RLOOTrainer(args=RLOOConfig(**online), **shared)
            if is_rloo
            else GRPOTrainer(args=GRPOConfig(**online), **shared)
        )
    trainer.train()
    return [one for one in trainer.state.log_history if "loss" in one]


@pytest.mark.parametrize("algorithm", ["rloo", "grpo", "dpo"])
def test_the_curves_are_those_of_a_script_over_trl(
    algorithm: str, model: str, rows: str, pairs: str, door: Door, tmp_path: Path
) -> None:
    data = pairs if algorithm == "dpo" else rows
    reinforced(door, model, data, algorithm=algorithm)
    wanted = by_hand(algorithm, model, data, tmp_path)
    ours, theirs = ("reward_margin", "rewards/margins") if algorithm == "dpo" else ("reward", "reward")
    assert door.losses("train", ours) == pytest.approx([one[theirs] for one in wanted], rel=1e-5, abs=1e-6)
    assert door.losses() == pytest.approx([one["loss"] for one in wanted], rel=1e-4, abs=1e-6)
    if algorithm != "dpo":
        assert door.losses("train", "kl") == pytest.approx([one["kl"] for one in wanted], rel=1e-4, abs=1e-6)
        assert len(set(door.losses("train", "reward"))) > 1


def test_a_run_goes_on_in_a_later_epoch_with_the_prompts_that_it_would_have_had(model: str, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "few.jsonl", 13)
    given: dict[str, Any] = {"max_steps": 10, "save_steps": 1, "num_generations": 2, "per_device_train_batch_size": 4}
    whole = Door(tmp_path / "whole")
    reinforced(whole, model, data, **given)
    first = Door(tmp_path / "cut")
    first.stops = lambda door: ("train", 5) in door.metrics
    cut = reinforced(first, model, data, **given)
    assert 5 <= cut.step < 10
    assert door_epoch(first) >= 1
    second = Door(tmp_path / "cut", attempt=2, kept=first.kept)
    second.metrics = dict(first.metrics)
    reinforced(second, model, data, **given)
    assert second.losses("train", "reward") == pytest.approx(whole.losses("train", "reward"), rel=1e-5)
    assert second.losses() == pytest.approx(whole.losses(), rel=1e-5, abs=1e-7)


def door_epoch(door: Door) -> float:
    return max(one.values["epoch"] for one in door.metrics.values() if "epoch" in one.values)


def test_answers_are_made_as_many_at_once_as_are_computed_at_once(
    model: str, rows: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: set[int] = set()
    generate = torch.nn.Module.__call__

    def noted(self: Any, *given: Any, **more: Any) -> Any:
        ids = more.get("input_ids")
        if ids is not None and type(self).__name__ == "LlamaForCausalLM":
            widths.add(len(ids))
        return generate(self, *given, **more)

    monkeypatch.setattr(torch.nn.Module, "__call__", noted)
    reinforced(door, model, rows, per_device_train_batch_size=2, gradient_accumulation_steps=2, max_steps=2)
    assert widths
    assert max(widths) == 2


def test_a_model_with_dropout_is_its_own_reference(tmp_path: Path, rows: str, door: Door) -> None:
    folder = tmp_path / "gpt2"
    made = tiny_model("gpt2", resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5)
    made.generation_config.eos_token_id = 1
    made.save_pretrained(folder)
    tokenizer = word_tokenizer()
    tokenizer.eos_token, tokenizer.pad_token = "w1", "w0"
    tokenizer.save_pretrained(folder)
    reinforced(door, str(folder), rows, learning_rate=1e-9)
    assert door.losses("train", "kl") == pytest.approx([0.0] * 4, abs=1e-5)


def test_another_jobs_alarms_are_not_this_ones(model: str, rows: str, tmp_path: Path) -> None:
    first = Door(tmp_path / "first")
    first.stops = lambda door: ("train", 4) in door.metrics
    given: dict[str, Any] = {"learning_rate": 0.05, "max_steps": 12, "save_steps": 1}
    reinforced(first, model, rows, **given)
    second = Door(tmp_path / "second", attempt=2, kept=(first.kept or {}) | {"alarms": []})
    (first.scratch() / "checkpoints").rename(second.scratch() / "checkpoints")
    found = reinforced(second, model, rows, **given | {"max_kl": 1e-4})
    assert found.stopped_by == KL


def test_it_says_what_changed_and_keeps_an_adapter(model: str, rows: str, door: Door) -> None:
    found = reinforced(door, model, rows, held_out_reward="length:3", max_steps=12)
    assert found.before is not None
    assert found.after is not None
    assert found.after.reward > found.before.reward
    assert set(found.after.rewards) == {f"words {BY_WORDS[6:]}"[:40], "held-out length 3"}
    assert found.before.n == found.after.n == 6
    assert len(found.prompts) == len(found.after.said) == 6
    assert "in 12 steps of RLOO" in found.text
    assert found.text in (door.artifacts[ArtifactKind.ADAPTER] / "README.md").read_text()
    assert [one.step for one in found.tries] == [0, 2, 4, 6, 8, 10, 12]
    last = door.metrics["train", 12].values
    assert last["held_out_reward"] == last["reward: held-out length 3"]
    assert {"kl", "entropy", "clipped", "completion_length", "distinct", "one_word", "tokens_per_s"} <= set(last)
    assert found.preflight is not None
    assert found.preflight.step_s > 0
    assert door.measured["peak_bytes"].predicted


def test_the_reference_is_the_model_with_its_adapter_off_bit_by_bit(
    model: str, rows: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Steady] = []

    def noted(*given: Any) -> Steady:
        made.append(make_trainer(*given))
        return made[-1]

    monkeypatch.setattr(reinforcing, "make_trainer", noted)
    reinforced(door, model, rows)
    before = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).state_dict()
    after = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): one
        for name, one in made[0].model.state_dict().items()
        if "lora_" not in name
    }
    assert set(after) == set(before)
    assert all(torch.equal(after[name], one) for name, one in before.items())
    assert not any("ref" in name for name in made[0].model.peft_config)
    trained = load_file(door.artifacts[ArtifactKind.ADAPTER] / "adapter_model.safetensors")
    assert any(bool(one.any()) for name, one in trained.items() if "lora_B" in name)


def test_nothing_moves_without_a_penalty_and_with_a_reward_that_is_always_the_same(
    model: str, rows: str, door: Door
) -> None:
    reinforced(door, model, rows, beta=0, rewards=["words:absent"])
    trained = load_file(door.artifacts[ArtifactKind.ADAPTER] / "adapter_model.safetensors")
    assert not any(bool(one.any()) for name, one in trained.items() if "lora_B" in name)


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"max_length": 2}, "nothing of an answer would be left"), ({"max_length": 500, "prompt": "w3 " * 170}, "reads")],
)
def test_preferences_of_impossible_lengths_are_said(
    fields: dict[str, Any], said: str, model: str, door: Door, tmp_path: Path
) -> None:
    path, long = tmp_path / "pairs.jsonl", fields.pop("prompt", "")
    path.write_text("\n".join(json.dumps(pair | {"prompt": long + pair["prompt"]}) for pair in PAIRS))
    with pytest.raises(BadInput, match=said):
        reinforced(door, model, str(path), algorithm="dpo", **fields)


@pytest.mark.parametrize("algorithm", ["rloo", "grpo", "dpo"])
def test_a_run_that_is_stopped_goes_on_as_if_nothing_had_been(
    algorithm: str, model: str, rows: str, pairs: str, tmp_path: Path
) -> None:
    data = pairs if algorithm == "dpo" else rows
    whole = Door(tmp_path / "whole")
    reinforced(whole, model, data, algorithm=algorithm, max_steps=6)
    first = Door(tmp_path / "cut")
    first.stops = lambda door: ("train", 2) in door.metrics
    cut = reinforced(first, model, data, algorithm=algorithm, max_steps=6)
    assert 3 <= cut.step < 6
    second = Door(tmp_path / "cut", attempt=2, kept=first.kept)
    second.metrics = dict(first.metrics)
    found = reinforced(second, model, data, algorithm=algorithm, max_steps=6)
    assert second.losses() == pytest.approx(whole.losses(), rel=1e-5, abs=1e-7)
    assert found.resumed_at == (cut.step,)
    assert found.after is not None
    assert whole.kept
    assert found.after.said == tuple(whole.kept["after"]["said"])
    assert found.after.reward == pytest.approx(whole.kept["after"]["reward"])


def test_a_reward_that_counts_a_word_is_caught_before_half_of_the_steps(model: str, rows: str, door: Door) -> None:
    found = reinforced(
        door, model, rows, rewards=["words:w7777,w199"], max_steps=40, learning_rate=0.05, beta=0.0,
        per_device_train_batch_size=16, num_generations=8,
    )  # fmt: skip
    assert found.alarms, [one.values["reward"] for one in door.metrics.values() if "reward" in one.values]
    first = found.alarms[0]
    assert first.step <= 20
    assert first.sign in (ONE_WORD, REPEATS)
    assert not found.stopped_by
    assert {one.step for one in found.tries} >= {0, first.step}


def test_a_run_ends_at_the_ceiling_of_its_kl_with_what_it_has(model: str, rows: str, door: Door) -> None:
    found = reinforced(door, model, rows, max_kl=0.01, max_steps=30, learning_rate=0.05, save_steps=100)
    assert found.stopped_by == KL
    assert found.step < 30
    assert "stopped at step" in found.text
    assert ArtifactKind.ADAPTER in door.artifacts
    assert door.is_whole


def test_models_score_and_several_rewards_are_weighed(
    model: str, rows: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = reinforced(door, model, rows, rewards=[f"{BY_WORDS}*0.5", "length:4*2"])
    train = [door.metrics["train", step].values for step in range(1, 5)]
    names = sorted(name for name in train[0] if name.startswith("reward: "))
    assert len(names) == 2
    for one in train:
        assert one["reward"] == pytest.approx(2 * one["reward: length 4"] + 0.5 * one[names[1]], rel=1e-5)
    assert found.after is not None
    assert found.after.reward == pytest.approx(
        2 * found.after.rewards["length 4"] + 0.5 * next(v for k, v in found.after.rewards.items() if "words" in k)
    )


def test_conversations_are_prompts_too(door: Door, tmp_path: Path) -> None:
    model = make_model(tmp_path / "chat")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] + ' ' }}{% endfor %}"
    tokenizer.save_pretrained(model)
    rows = [
        {"messages": [{"role": "user", "content": f"w{n} w{n + 1}"}, {"role": "assistant", "content": "w3"}]}
        for n in range(5, 35)
    ]
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = reinforced(door, model, str(tmp_path / "chats.jsonl"), held_out_reward=f"{BY_WORDS}*2")
    values = door.metrics["train", 4].values
    assert values["held_out_reward"] == values["reward"], "the answers alone are counted, by either"
    tokenizer.chat_template = None
    tokenizer.save_pretrained(model)
    Path(model, "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(BadInput, match="no chat template"):
        reinforced(Door(tmp_path / "other"), model, str(tmp_path / "chats.jsonl"))
    assert found.prompts[0].startswith("w")


def test_over_a_packed_base_only_the_adapter_is_trained(model: str, rows: str, door: Door) -> None:
    found = reinforced(door, model, rows, dtype="nf4")
    assert (found.method, found.base_dtype) == ("QLoRA", "nf4")
    assert found.step == 4
    assert ArtifactKind.ADAPTER in door.artifacts


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([float("nan")] * 2, "gave no number for an answer"),
        ([1.0], "gave 1 numbers for 2 answers"),
        ([1.0, float("inf")], "gave no number"),
        ([1.0, float("nan")], "gave no number"),
    ],
)
def test_what_a_reward_gives_is_held_against_what_it_must_be(given: list[float], said: str) -> None:
    odd = Rewards([(Reward(Sort.MODEL, "x"), lambda _prompts, _answers: given)])
    with pytest.raises(NotANumber, match=said):
        odd.score(["a", "b"], ["c", ""])


def test_a_reward_that_is_no_number_ends_the_run_and_keeps_the_last_checkpoint(
    model: str, rows: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def breaking(_: Sequence[str], answers: Sequence[str]) -> list[float]:
        nonlocal calls
        calls += 1
        return [float("nan") if calls > 4 else float(len(answers[0]))] * len(answers)

    monkeypatch.setattr(scoring, "_scorer", lambda *_: breaking)
    with pytest.raises(NotANumber, match="gave no number"):
        reinforced(door, model, rows, max_steps=8)
    assert [path.name for path in (door.scratch()).rglob("checkpoint-*")]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"algorithm": "dpo"}, "dpo learns from preferences"),
        ({"per_device_train_batch_size": 128}, "A step takes 64 different prompts, and"),
        ({"max_prompt_length": 1, "prompt_words": 4}, "Every prompt is longer than max_prompt_length 1"),
        ({"max_completion_length": 1_000}, "tokens, and .* reads"),
        ({"rewards": ["model:there-is-none/such"]}, "there-is-none/such"),
    ],
)
def test_what_cannot_be_learned_is_said(fields: dict[str, Any], said: str, model: str, rows: str, door: Door) -> None:
    with pytest.raises(Exception, match=said) as caught:
        reinforced(door, model, rows, **fields)
    assert getattr(caught.value, "message", "")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"num_generations": 3}, "num_generations 3 does not divide"),
        ({"rewards": []}, "rloo needs a reward that counts"),
        ({"rewards": ["lexicon*0"]}, "rloo needs a reward that counts"),
        ({"beta": 0, "max_kl": 1}, "no KL is measured"),
        ({"lora_dropout": 0.1}, "leave it at 0"),
        ({"rewards": ["taste"]}, "taste is no reward"),
        ({"method": "full"}, "take method lora"),
        ({"adapter": "x"}, "merge it into its base first"),
        ({"held_out_reward": "length:x"}, "how many words"),
        ({"early_stopping_patience": 2}, "set max_kl"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_loaded(fields: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, BadInput), match=said):
        RlhfSpec.model_validate_json(json.dumps({**QUICK, "rewards": [BY_WORDS], **fields}))
