"""Training on tiny models: the losses of TRL's own trainer, nothing moved but the adapter, nothing lost at a stop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset  # type: ignore[import-untyped]
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from core.data.read import read_data
from core.data.spec import DataFields
from core.errors import AdapterMismatch, BadInput, DiskFull, NotANumber, NotFound
from core.jobs.sft import SftSpec
from core.llm.training import run as running
from core.llm.training.trainer import Tuner
from core.training.checkpoints import STATE, checkpoints_of, newest_checkpoint
from core.values import ArtifactKind
from tests.llm.training.door import QUICK, Door, left_behind, make_model, trained, write_rows

LAYERS = "base_model.model.model.layers.0"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl")


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def by_hand(model: str, data: str, folder: Path, **settings: Any) -> list[float]:
    """The losses of a plain script over TRL."""
    found = read_data(DataFields(data=data, eval_share=QUICK["eval_share"]), folder, lambda _: None)
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        args=SFTConfig(
            output_dir=str(folder / "by-hand"),
            max_steps=QUICK["max_steps"],
            per_device_train_batch_size=QUICK["per_device_train_batch_size"],
            max_length=QUICK["max_length"],
            learning_rate=QUICK["learning_rate"],
            bf16=False,
            gradient_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            **settings,
        ),
        train_dataset=Dataset.from_list([row.fields for row in found.train]),
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    return [one["loss"] for one in trainer.state.log_history if "loss" in one]


@pytest.mark.parametrize("further", [{}, {"gradient_accumulation_steps": 3}, {"packing": True}])
def test_losses_are_those_of_a_script_over_trl(
    model: str, rows: str, door: Door, tmp_path: Path, further: dict[str, Any]
) -> None:
    trained(door, model, rows, **further)
    assert door.losses() == pytest.approx(by_hand(model, rows, tmp_path, **further), rel=1e-5)


def test_losses_are_the_same_with_and_without_tiles(
    model: str, rows: str, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(door, model, rows)
    other = Door(tmp_path / "other")

    class Fused(Tuner):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs | {"is_fused": True})

    monkeypatch.setattr(running, "Tuner", Fused)
    found = trained(other, model, rows)
    assert found.is_fused
    assert door.losses() == pytest.approx(other.losses(), rel=1e-5)
    assert door.losses("eval", "perplexity") == pytest.approx(other.losses("eval", "perplexity"), rel=1e-5)


def test_what_is_trained_is_what_is_said_and_the_adapter_is_kept(model: str, rows: str, door: Door) -> None:
    found = trained(door, model, rows)
    assert (found.method, found.base_dtype, found.trained_dtype) == ("LoRA", "float32", "float32")
    weights = load_file(door.artifacts[ArtifactKind.ADAPTER] / "adapter_model.safetensors")
    assert found.n_trained == sum(one.numel() for one in weights.values())
    assert {one.dtype for one in weights.values()} == {torch.float32}
    assert (found.step, found.total_steps) == (6, 6)
    assert found.loss_first == pytest.approx(door.losses()[0])
    assert sorted(step for sort, step in door.metrics if sort == "eval") == [0, 3, 6]
    assert found.perplexity_before == door.losses("eval", "perplexity")[0]
    assert "→" in found.text
    lineage = json.loads((door.artifacts[ArtifactKind.ADAPTER] / "workbench.json").read_text())
    assert lineage["data"]["fingerprint"] == found.data.fingerprint  # type: ignore[union-attr]
    assert lineage["base"] == model
    assert not list(door.artifacts[ArtifactKind.ADAPTER].glob("*.bin"))
    card = (door.artifacts[ArtifactKind.ADAPTER] / "README.md").read_text()
    assert found.text in card
    assert found.data.fingerprint in card  # type: ignore[union-attr]


def test_the_first_row_is_shown_as_it_is_fed_with_its_end(model: str, rows: str, door: Door) -> None:
    found = trained(door, model, rows)
    assert found.first_row[-1].text == " w1"
    assert found.first_row[-1].is_special
    assert all(one.is_trained for one in found.first_row)


def test_only_completions_are_learned_where_rows_have_a_prompt(model: str, door: Door, tmp_path: Path) -> None:
    pairs = [{"prompt": f"w{nth} w5 ", "completion": f"w7 w{nth}"} for nth in range(2, 42)]
    data = tmp_path / "pairs.jsonl"
    data.write_text("\n".join(map(json.dumps, pairs)))
    first = trained(door, model, str(data)).first_row
    assert [one.is_trained for one in first[:5]] == [False, False, True, True, True]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "nf4", "nf4-dq"])
def test_only_the_adapter_moves(model: str, rows: str, door: Door, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before: dict[str, torch.Tensor] = {}
    after: dict[str, torch.Tensor] = {}

    class Watched(Tuner):
        def train(self, *args: Any, **kwargs: Any) -> Any:
            before.update({name: one.detach().clone() for name, one in self.model.named_parameters()})
            made = super().train(*args, **kwargs)
            after.update({name: one.detach().clone() for name, one in self.model.named_parameters()})
            return made

    monkeypatch.setattr(running, "Tuner", Watched)
    found = trained(door, model, rows, dtype=dtype)
    assert found.base_dtype == dtype
    assert found.method == ("QLoRA" if dtype in ("int8", "nf4", "nf4-dq") else "LoRA")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "lora_" in name}
    assert found.trained_dtype == ("float32" if dtype in ("float32", "bfloat16") else "bfloat16")


def test_an_adapter_with_all_of_b_zero_is_its_base(model: str, rows: str, door: Door) -> None:
    folder = door.home / "adapter"
    trained(door, model, rows, max_steps=1, learning_rate=1e-12)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = torch.tensor([[5, 6, 7, 8]])
    plain = base(ids).logits
    laid = PeftModel.from_pretrained(base, door.artifacts[ArtifactKind.ADAPTER])
    assert not folder.exists()
    assert torch.allclose(laid(ids).logits, plain, atol=1e-5)


def test_loss_falls_on_rows_that_are_repeated(model: str, door: Door, tmp_path: Path) -> None:
    data = tmp_path / "same.txt"
    data.write_text("\n".join(["w3 w4 w5 w6 w7 w8"] * 8))
    found = trained(door, model, str(data), max_steps=40, eval_share=0, save_steps=50, learning_rate=0.02)
    assert found.loss_last is not None
    assert found.loss_first is not None
    assert found.loss_last < 0.3 * found.loss_first


@pytest.mark.parametrize(
    "further", [{"use_dora": True}, {"use_rslora": True}, {"method": "full", "learning_rate": 1e-4}]
)
def test_other_sorts_of_training(model: str, rows: str, door: Door, further: dict[str, Any]) -> None:
    found = trained(door, model, rows, **further)
    assert found.step == 6
    kind = ArtifactKind.MODEL if further.get("method") == "full" else ArtifactKind.ADAPTER
    assert (door.artifacts[kind] / "workbench.json").is_file()


def test_a_run_that_is_stopped_goes_on_as_if_nothing_had_been(model: str, rows: str, tmp_path: Path) -> None:
    fields = {"lora_dropout": 0.2, "num_train_epochs": 1, "max_steps": 20, "per_device_train_batch_size": 4}
    whole = Door(tmp_path / "whole")
    result = trained(whole, model, rows, **fields)
    first = Door(tmp_path / "cut")
    first.stops = lambda door: (
        ("train", 9) in door.metrics or any(one.current >= 10 for one in door.said if one.total == 20)
    )
    trained(first, model, rows, **fields)
    assert first.artifacts == {}
    second = Door(tmp_path / "cut", attempt=2, kept=first.kept)
    second.metrics = dict(first.metrics)
    found = trained(second, model, rows, **fields)
    assert found.resumed_at == (10,)
    assert second.losses() == whole.losses()
    assert second.losses("eval", "eval_loss") == whole.losses("eval", "eval_loss")
    assert [one.completion for one in found.tries] == [one.completion for one in result.tries]
    one, other = (
        load_file(door.artifacts[ArtifactKind.ADAPTER] / "adapter_model.safetensors") for door in (whole, second)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_is_cancelled_leaves_a_checkpoint_that_a_new_job_goes_on_from(
    model: str, rows: str, tmp_path: Path
) -> None:
    whole = Door(tmp_path / "whole")
    trained(whole, model, rows)
    first = Door(tmp_path / "home")
    first.stops = lambda door: any(one.current >= 3 for one in door.said if one.total == 6)
    assert trained(first, model, rows).text == ""
    kept = left_behind(first, **QUICK, model=model, data=rows)
    second = Door(tmp_path / "home")
    assert trained(second, model, rows, resume_from=kept.name).step == 6
    assert second.losses() == whole.losses()[3:]
    third = Door(tmp_path / "home")
    shutil.rmtree(third.scratch())
    trained(third, model, rows, resume_from=kept.name, learning_rate=0.001)
    rates = third.losses(name="learning_rate")
    assert rates == pytest.approx([0.1 * rate for rate in second.losses(name="learning_rate")])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"r": 2}, "r is 2 here and 4 in the checkpoint"),
        ({"max_steps": 2}, "has 2 steps and this job 2"),
        ({"max_rows": 20}, "learned from other rows"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    model: str, rows: str, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    first = Door(tmp_path)
    first.stops = lambda door: any(one.current >= 2 for one in door.said if one.total == 6)
    trained(first, model, rows)
    kept = left_behind(first, **QUICK, model=model, data=rows)
    with pytest.raises(BadInput, match=said):
        trained(Door(tmp_path), model, rows, resume_from=kept.name, **fields)
    with pytest.raises(NotFound):
        trained(Door(tmp_path / "elsewhere"), model, rows, resume_from="0" * 26)
    with pytest.raises(ValueError, match="not the id"):
        trained(Door(tmp_path), model, rows, resume_from="../x")


def test_a_run_that_is_asked_to_pause_at_its_very_end_is_whole(model: str, rows: str, door: Door) -> None:
    door.stops = lambda seen: any("held-out" in one.message for one in seen.said)
    found = trained(door, model, rows)
    assert door.is_whole
    assert found.judged
    again = Door(door.home, attempt=2, kept=door.kept)
    again.metrics = dict(door.metrics)
    assert trained(again, model, rows).resumed_at == (6,)
    assert again.losses() == door.losses()


def test_weights_that_are_no_numbers_never_become_a_checkpoint(
    model: str, rows: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tuner.training_step

    def diverges(self: Tuner, *args: Any, **kwargs: Any) -> Any:
        loss = real(self, *args, **kwargs)
        if self.state.global_step == 3:
            for one in self.model.parameters():
                one.data *= float("nan") if one.requires_grad else 1.0
        return loss

    monkeypatch.setattr(Tuner, "training_step", diverges)
    with pytest.raises(NotANumber, match="After step 4"):
        trained(door, model, rows, eval_share=0.0)
    assert steps_kept(door) == 2


def test_rows_longer_than_the_model_reads_are_refused(model: str, rows: str, door: Door) -> None:
    with pytest.raises(BadInput, match="reads at most"):
        trained(door, model, rows, max_length=100_000)


def test_all_weights_are_trained_in_float32_unless_told_otherwise() -> None:
    assert SftSpec(method="full").variant.dtype == "float32"
    assert SftSpec().variant.dtype == "auto"


def steps_kept(door: Door) -> int:
    newest = newest_checkpoint(checkpoints_of(door.scratch()))
    assert newest
    return int(json.loads((newest / STATE).read_text())["global_step"])


def test_a_loss_that_is_no_number_ends_the_run_with_its_step_and_keeps_the_last_checkpoint(
    model: str, rows: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tuner.compute_loss

    def diverges(self: Tuner, *args: Any, **kwargs: Any) -> Any:
        loss = real(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 4 and self.model.training else loss

    monkeypatch.setattr(Tuner, "compute_loss", diverges)
    with pytest.raises(NotANumber, match="step 5") as refused:
        trained(door, model, rows)
    assert "learning rate" in refused.value.hint
    assert steps_kept(door) == 4


def test_a_full_disk_leaves_the_checkpoint_before_whole(
    model: str, rows: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tuner._save_optimizer_and_scheduler

    def full(self: Tuner, folder: str) -> None:
        real(self, folder)
        if self.state.global_step == 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Tuner, "_save_optimizer_and_scheduler", full)
    with pytest.raises(DiskFull, match="step 4"):
        trained(door, model, rows)
    assert steps_kept(door) == 2


def test_a_checkpoint_that_was_cut_off_is_none(tmp_path: Path) -> None:
    for name in ("aside/checkpoint-9", "checkpoint-7"):
        (tmp_path / name).mkdir(parents=True)
    assert newest_checkpoint(tmp_path) is None


def test_early_stopping_ends_a_run_that_gets_no_better(model: str, rows: str, door: Door) -> None:
    fields = {"max_steps": 40, "eval_steps": 2, "early_stopping_patience": 2, "learning_rate": 0.5}
    found = trained(door, model, rows, **fields)
    assert found.step < 40
    assert ArtifactKind.ADAPTER in door.artifacts


def test_layers_that_do_not_exist_are_refused_with_those_that_do(model: str, rows: str, door: Door) -> None:
    with pytest.raises(BadInput, match="no layer query_key_value") as refused:
        trained(door, model, rows, target_modules=["query_key_value"])
    assert "q_proj" in refused.value.hint
    assert "lm_head" not in refused.value.hint


def test_an_adapter_is_trained_further_and_one_of_another_base_is_refused(
    model: str, rows: str, door: Door, tmp_path: Path
) -> None:
    trained(door, model, rows)
    kept = str(door.artifacts[ArtifactKind.ADAPTER])
    again = Door(tmp_path / "again")
    trained(again, model, rows, adapter=kept)
    assert again.losses()[0] < door.losses()[0]
    other = make_model(tmp_path / "other", num_hidden_layers=1, vocab_size=201)
    with pytest.raises(AdapterMismatch, match="does not go with"):
        trained(Door(tmp_path / "third"), other, rows, adapter=kept)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"method": "full", "dtype": "nf4"}, "cannot be trained"),
        ({"method": "full", "dtype": "float16"}, "float16"),
        ({"target_modules": ["all-linear", "q_proj"]}, "stands alone"),
        ({"early_stopping_patience": 2, "eval_share": 0.0}, "held-out"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], said: str, door: Door) -> None:
    with pytest.raises(ValueError, match=said):
        trained(door, "any", "any", **fields)
