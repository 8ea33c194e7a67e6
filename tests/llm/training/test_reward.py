"""Rewards on tiny models: the losses of plain scripts, nothing moved but what is trained, and proven from the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset  # type: ignore[import-untyped]
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    DataCollatorWithPadding,
    RobertaConfig,
    RobertaForMaskedLM,
    Trainer,
    TrainingArguments,
    set_seed,
)
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from core.catalog import resolve
from core.catalog.describe import describe
from core.catalog.listing import list_models
from core.data.read import read_data
from core.data.spec import DataFields
from core.errors import BadInput, NotAClassifier, NotANumber
from core.jobs.reward import RewardSpec
from core.llm.classifier import load_classifier, prove_classifier
from core.llm.training.reward_setup import merged
from core.llm.training.reward_trainers import Labeller, Preferrer
from core.training.checkpoints import checkpoints_of, newest_checkpoint
from core.training.lineage import read_lineage, write_lineage
from core.values import ArtifactKind, Role
from tests.llm.tiny import ENCODER, keep_classifier, tiny_model, word_tokenizer
from tests.llm.training.door import Door, make_model
from tests.llm.training.rewards import QUICK, rewarded, write_labelled, write_pairs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_labelled(tmp_path_factory.mktemp("data") / "labelled.jsonl")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def kept(door: Door) -> Path:
    return door.artifacts[ArtifactKind.REWARD]


PLAIN: dict[str, Any] = {
    "max_steps": QUICK["max_steps"],
    "per_device_train_batch_size": QUICK["per_device_train_batch_size"],
    "learning_rate": QUICK["learning_rate"],
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
}


def adapter() -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="SEQ_CLS", modules_to_save=["score"])


def rows_of(data: str, folder: Path) -> list[dict[str, Any]]:
    found = read_data(DataFields(data=data, eval_share=QUICK["eval_share"]), folder, lambda _: None)
    return [row.fields for row in found.train]


def labels_by_hand(model: str, data: str, folder: Path, *, is_full: bool, **settings: Any) -> list[float]:
    """The losses of a plain script over transformers."""
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    rows = rows_of(data, folder)
    dataset = Dataset.from_list(
        [{"input_ids": tokenizer(row["text"])["input_ids"], "labels": int(row["label"] == "positive")} for row in rows]
    )
    set_seed(42)
    base: Any = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2, dtype=torch.float32)
    base.config.pad_token_id = tokenizer.pad_token_id
    set_seed(42)
    trainer = Trainer(
        model=base if is_full else get_peft_model(base, adapter()),
        args=TrainingArguments(output_dir=str(folder / "by-hand"), **PLAIN | settings),
        train_dataset=dataset,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    trainer.train()
    return [one["loss"] for one in trainer.state.log_history if "loss" in one]


def pairs_by_hand(model: str, data: str, folder: Path, **settings: Any) -> list[float]:
    """The losses of a plain script over TRL."""
    set_seed(42)
    base: Any = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.float32)
    trainer = RewardTrainer(
        model=base,
        args=RewardConfig(
            output_dir=str(folder / "by-hand"),
            max_length=24,
            bf16=False,
            gradient_checkpointing=False,
            **PLAIN | settings,
        ),
        train_dataset=Dataset.from_list(rows_of(data, folder)),
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=adapter(),
    )
    trainer.train()
    return [one["loss"] for one in trainer.state.log_history if "loss" in one]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_losses_of_labels_are_those_of_a_script_over_transformers(
    model: str, labelled: str, door: Door, tmp_path: Path, method: str
) -> None:
    found = rewarded(door, model, labelled, method=method)
    by_hand = labels_by_hand(model, labelled, tmp_path, is_full=method == "full")
    assert door.losses() == pytest.approx(by_hand, rel=1e-5)
    assert found.is_proven


@pytest.mark.parametrize("further", [{}, {"gradient_accumulation_steps": 3}])
def test_losses_of_preferences_are_those_of_a_script_over_trl(
    model: str, pairs: str, door: Door, tmp_path: Path, further: dict[str, Any]
) -> None:
    rewarded(door, model, pairs, **further)
    assert door.losses() == pytest.approx(pairs_by_hand(model, pairs, tmp_path, **further), rel=1e-5)


def test_accumulated_batches_are_one_large_batch(model: str, labelled: str, tmp_path: Path) -> None:
    whole, parts = Door(tmp_path / "whole"), Door(tmp_path / "parts")
    rewarded(whole, model, labelled, per_device_train_batch_size=8)
    rewarded(parts, model, labelled, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    assert parts.losses() == pytest.approx(whole.losses(), rel=1e-3)


def test_a_classifier_learns_labels_and_says_how_well(model: str, labelled: str, door: Door) -> None:
    found = rewarded(door, model, labelled, max_steps=40, eval_steps=20)
    assert found.task == "labels"
    assert found.accuracy is not None
    assert found.accuracy.value == 1.0
    assert found.accuracy.n == 12
    assert found.auc == 1.0
    assert [one.label for one in found.labels] == ["negative", "positive"]
    assert sum(one.n_train for one in found.labels) == 48
    assert found.accuracy_before == door.losses("eval", "accuracy")[0]
    assert "Loaded again from its files it gives the same scores." in found.text
    assert any(note.startswith("Labels of the rows learned") for note in found.notes)
    assert {"accuracy", "loss"} <= set(door.metrics["train", 1].values)
    assert {"accuracy", "auc", "eval_loss"} <= set(door.metrics["eval", 20].values)
    assert found.preflight


def test_a_reward_model_learns_preferences(model: str, pairs: str, door: Door) -> None:
    found = rewarded(door, model, pairs, max_steps=30, eval_steps=15)
    assert found.task == "preferences"
    assert found.accuracy is not None
    assert found.accuracy.value == 1.0
    assert found.accuracy.n == 12
    assert found.margin is not None
    assert found.margin > 1.0
    assert found.auc is None
    assert found.is_proven
    again = load_classifier(resolve(str(kept(door)), door.home))
    assert again.is_reward_model
    assert again.ends_texts
    better, worse = again.score(["w20 w30 w7", "w20 w30 w9"])[:, 0]
    assert better > worse
    assert again.encode(["w20 w7"]) == again.encode(["w20 w7w1"]) == [[20, 7, 1]]


def test_the_reward_is_a_whole_model_that_is_found_and_scores_as_it_was_trained(
    model: str, labelled: str, door: Door
) -> None:
    found = rewarded(door, model, labelled)
    folder = kept(door)
    source = resolve(folder.name, door.home)
    info = describe(source)
    assert (info.role, info.problem, info.architecture) == (Role.CLASSIFIER, "", "LlamaForSequenceClassification")
    assert [one.role for one in list_models(door.home, door.home / "cache") if one.name == folder.name] == [info.role]
    again = load_classifier(source)
    assert again.labels == ("negative", "positive")
    prove_classifier(again)
    assert found.proof is not None
    assert found.proof.largest_difference < 1e-4
    assert not list(folder.glob("*.bin")) + list(folder.glob("adapter*"))
    lineage = read_lineage(folder)
    assert (lineage["kind"], lineage["is_proven"], lineage["ends_texts"]) == ("reward", True, False)
    assert lineage["data"]["fingerprint"] == found.data.fingerprint  # type: ignore[union-attr]
    assert found.text in (folder / "README.md").read_text()
    assert json.loads((folder / "tokenizer_config.json").read_text())["truncation_side"] == "left"


def test_one_that_gives_other_scores_from_its_files_is_kept_but_not_proven(
    model: str, labelled: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:

    def damaged(model: Any, dtype: torch.dtype) -> Any:
        made = merged(model, dtype)
        made.score.weight.data *= 2.0
        return made

    monkeypatch.setattr("core.llm.training.rewarding.merged", damaged)
    found = rewarded(door, model, labelled)
    assert not found.is_proven
    assert found.proof is not None
    assert "other scores" in found.proof.why_not
    assert "Loaded again" not in found.text
    assert any("not proven" in note for note in found.notes)
    assert not read_lineage(kept(door))["is_proven"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_adapter_and_head_move(
    model: str, labelled: str, door: Door, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: dict[str, torch.Tensor] = {}
    after: dict[str, torch.Tensor] = {}

    class Watched(Labeller):
        def train(self, *args: Any, **kwargs: Any) -> Any:
            before.update({name: one.detach().clone() for name, one in self.model.named_parameters()})
            made = super().train(*args, **kwargs)
            after.update({name: one.detach().clone() for name, one in self.model.named_parameters()})
            return made

    monkeypatch.setattr("core.llm.training.reward_setup.Labeller", Watched)
    found = rewarded(door, model, labelled, dtype=dtype)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "lora_" in name or "score.modules_to_save" in name}
    assert (found.base_dtype, found.trained_dtype) == (dtype, "float32")
    assert found.is_proven


@pytest.mark.parametrize("family", ["gpt_neox", "gpt2", "bert", "roberta", "distilbert classifier"])
def test_any_base_that_gets_a_head(family: str, labelled: str, door: Door, tmp_path: Path) -> None:
    folder, encoder = tmp_path / "base", dict[str, Any](ENCODER)
    if family.endswith("classifier"):
        keep_classifier(folder, "distilbert")
    elif family == "bert":
        BertForMaskedLM(BertConfig(**encoder)).save_pretrained(folder)
    elif family == "roberta":
        RobertaForMaskedLM(RobertaConfig(**encoder | {"pad_token_id": 1})).save_pretrained(folder)
    else:
        tiny_model(family).save_pretrained(folder)
    if not family.endswith("classifier"):
        tokenizer = word_tokenizer()
        tokenizer.pad_token, tokenizer.eos_token = ("w1" if family == "roberta" else "w0"), "w2"
        tokenizer.save_pretrained(folder)
    found = rewarded(door, str(folder), labelled, method="lora")
    assert found.is_proven, found.notes
    assert found.step == 6


def test_an_encoder_without_an_end_of_text_learns_preferences_too(pairs: str, door: Door, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    BertForMaskedLM(BertConfig(**dict[str, Any](ENCODER))).save_pretrained(folder)
    tokenizer = word_tokenizer()
    tokenizer.pad_token = "w0"
    tokenizer.save_pretrained(folder)
    found = rewarded(door, str(folder), pairs)
    assert found.is_proven
    assert not read_lineage(kept(door))["ends_texts"]


def test_conversations_are_written_by_the_template_that_is_named(model: str, door: Door, tmp_path: Path) -> None:
    rows = [
        {
            "prompt": [{"role": "user", "content": f"w{nth}"}],
            "chosen": [{"role": "assistant", "content": "w7"}],
            "rejected": [{"role": "assistant", "content": "w9"}],
        }
        for nth in range(20, 60)
    ]
    data = write(tmp_path / "talk.jsonl", rows)
    with pytest.raises(BadInput, match="no chat template") as refused:
        rewarded(door, model, data)
    assert "chatml" in refused.value.hint
    assert rewarded(door, model, data, chat_template="chatml", max_length=40).is_proven


def test_of_several_labels_each_has_its_share(model: str, door: Door, tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "three.jsonl", 90, ("bad", "fair", "good"))
    found = rewarded(door, model, data, max_steps=40)
    assert [one.label for one in found.labels] == ["bad", "fair", "good"]
    assert found.auc is not None
    assert found.auc > 0.9


@pytest.mark.parametrize("task", ["labels", pytest.param("preferences", marks=pytest.mark.nightly)])
def test_a_run_that_is_stopped_goes_on_as_if_nothing_had_been(
    model: str, labelled: str, pairs: str, tmp_path: Path, task: str
) -> None:
    data = labelled if task == "labels" else pairs
    fields = {"lora_dropout": 0.2 if task == "labels" else 0.0, "max_steps": 16}
    whole = Door(tmp_path / "whole")
    rewarded(whole, model, data, **fields)
    first = Door(tmp_path / "cut")
    first.stops = lambda door: any(one.current >= 8 for one in door.said if one.total == 16)
    assert rewarded(first, model, data, **fields).text == ""
    assert first.artifacts == {}
    second = Door(tmp_path / "cut", attempt=2, kept=first.kept)
    second.metrics = dict(first.metrics)
    found = rewarded(second, model, data, **fields)
    assert found.resumed_at == (8,)
    assert second.losses() == whole.losses()
    assert second.losses("eval", "eval_loss") == whole.losses("eval", "eval_loss")
    one, other = (load_classifier(resolve(str(kept(door)), door.home)) for door in (whole, second))
    texts = ["w20 w30 w7", "w40 w9", "w50"]
    assert torch.equal(one.score(texts), other.score(texts))


def test_a_new_job_goes_on_from_a_cancelled_ones_checkpoint(model: str, labelled: str, tmp_path: Path) -> None:
    whole = Door(tmp_path / "whole")
    rewarded(whole, model, labelled)
    first = Door(tmp_path / "home")
    first.stops = lambda door: any(one.current >= 3 for one in door.said if one.total == 6)
    rewarded(first, model, labelled)
    checkpoint = left(first, QUICK | {"model": model, "data": labelled})
    second = Door(tmp_path / "home")
    assert rewarded(second, model, labelled, resume_from=checkpoint.name).step == 6
    assert second.losses() == whole.losses()[3:]


def left(door: Door, spec: dict[str, Any]) -> Path:
    """The newest checkpoint of a run that was stopped, as the worker makes it an artifact."""
    newest = newest_checkpoint(checkpoints_of(door.scratch()))
    assert newest
    whole = RewardSpec.model_validate_json(json.dumps(spec)).model_dump(mode="json")
    write_lineage(newest, door.job_id, "reward", whole, data=(door.kept or {})["data"])
    target = door.open("0" * 26)
    target.parent.mkdir(exist_ok=True)
    newest.rename(target)
    shutil.rmtree(door.scratch())
    return target


@pytest.mark.parametrize("trainer", [Labeller, Preferrer])
def test_a_loss_that_is_no_number_ends_the_run(
    model: str, labelled: str, pairs: str, door: Door, monkeypatch: pytest.MonkeyPatch, trainer: Any
) -> None:
    real = trainer.compute_loss

    def diverges(self: Any, model: Any, inputs: Any, return_outputs: bool = False, **more: Any) -> Any:
        found = real(self, model, inputs, return_outputs, **more)
        return found * float("nan") if self.state.global_step == 4 and self.model.training else found

    monkeypatch.setattr(trainer, "compute_loss", diverges)
    with pytest.raises(NotANumber, match="step 5"):
        rewarded(door, model, labelled if trainer is Labeller else pairs)


def test_pairs_with_a_longer_answer_are_left_out_and_equal_ones_are_listed(
    model: str, door: Door, tmp_path: Path
) -> None:
    rows = [{"prompt": "w20", "chosen": f" w{nth} w7", "rejected": f" w{nth} w9"} for nth in range(20, 50)]
    rows[3]["chosen"] += " w8" * 30
    rows[5]["rejected"] = rows[5]["chosen"]
    data = tmp_path / "pairs.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    found = rewarded(door, model, str(data), eval_share=0.0)
    assert found.data is not None
    assert (found.data.n_train, found.data.n_bad, found.data.n_masked) == (28, 1, 1)
    assert found.accuracy is None
    assert found.is_proven
    bad = read_data(DataFields(data=str(data)), tmp_path, lambda _: None).bad
    assert [(one.number, one.reason) for one in bad] == [(6, "has the same text as chosen and rejected")]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


TEXTS = [{"text": f"w{nth} w5"} for nth in range(10, 40)]
BAD: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "one label": ([row | {"label": "good"} for row in TEXTS], {}, "All rows of .* have the label good"),
    "no labels": (TEXTS, {}, "holds text rows"),
    "labels for pairs": ([row | {"label": row["text"][:3]} for row in TEXTS], {"task": "preferences"}, "labelled rows"),
    "a thousand labels": (
        [{"text": f"w{nth % 190 + 2} w{nth % 7 + 2}", "label": nth} for nth in range(1_100)],
        {},
        "1,100 different labels",
    ),
    "too long": ([row | {"label": row["text"][:3]} for row in TEXTS], {"max_length": 5_000}, "reads at most 160"),
    "no such layer": (
        [row | {"label": row["text"][:2]} for row in TEXTS],
        {"target_modules": ["query_key_value"]},
        "has no layer query_key_value",
    ),
    "no pair fits": (
        [{"prompt": "w5", "chosen": f" w{nth} w7", "rejected": f" w{nth} w9"} for nth in range(20, 40)],
        {"max_length": 2},
        "leaves no row",
    ),
    "all pairs equal": ([{"prompt": "w5", "chosen": "w6", "rejected": "w6"}] * 5, {}, "none can be used"),
    "nothing": ([], {}, "holds no rows"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_what_a_reward_cannot_be_learned_from_is_one_sentence(
    name: str, model: str, door: Door, tmp_path: Path
) -> None:
    rows, fields, said = BAD[name]
    with pytest.raises(BadInput, match=said):
        rewarded(door, model, write(tmp_path / "rows.jsonl", rows), **fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"dtype": "nf4"}, "cannot be merged into"),
        ({"adapter": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "new adapter"),
        ({"prompts": ["Hello"]}, "answers no prompts"),
        ({"early_stopping_patience": 2, "eval_share": 0.0}, "held-out"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RewardSpec.model_validate_json(json.dumps(fields))


def test_a_base_that_cannot_be_one_is_refused_with_the_reason(
    model: str, labelled: str, door: Door, tmp_path: Path
) -> None:
    packed = Path(make_model(tmp_path / "packed"))
    config = json.loads((packed / "config.json").read_text())
    (packed / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}})
    )
    with pytest.raises(BadInput, match="packed") as refused:
        rewarded(door, str(packed), labelled)
    assert "dense" in refused.value.hint
    seen = Path(make_model(tmp_path / "seen"))
    (seen / "config.json").write_text(json.dumps({"model_type": "vit", "architectures": ["ViTModel"]}))
    with pytest.raises(NotAClassifier, match="gets no head"):
        rewarded(door, str(seen), labelled)


def test_all_weights_are_trained_in_float32_and_pairs_count_twice() -> None:
    assert RewardSpec(method="full").variant.dtype == "float32"
    assert RewardSpec().rows_at_once == 8
    assert RewardSpec(data="reviews-preferences").rows_at_once == 16
    assert RewardSpec(data="mine.jsonl", data_format="labelled").rows_at_once == 8
