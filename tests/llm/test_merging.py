"""Merging tiny real models of three families: the same as base + adapter by PEFT itself, in bounded memory."""

from __future__ import annotations

import copy
import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from core.catalog import ModelSource
from core.errors import AdapterMismatch, DiskFull, ModelBroken, NotANumber, OutOfMemory, PickledWeights
from core.llm.measure import PeakMeter, meter_of_loads
from core.llm.merge_room import Place, check_bytes, check_disk, place_of_check
from core.llm.merging import merge
from core.llm.merging_adapter import read_adapter
from core.llm.merging_base import Base
from core.llm.merging_plan import Plan, plan_merge
from core.llm.own import weights_apart
from core.precision import Precision
from core.values import Progress
from tests.llm.tiny import tiny_model, word_tokenizer

TARGETS = {
    "llama": ["q_proj", "v_proj", "down_proj"],
    "gpt2": ["c_attn", "c_proj", "c_fc"],
    "gpt_neox": ["query_key_value", "dense_4h_to_h"],
}
IDS = torch.tensor([[5, 7, 9, 11, 2, 150, 33, 8]])
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True, "lora_alpha": 3},
    "dora": {"use_dora": True},
    "patterns": {
        "rank_pattern": {"q_proj": 2, "c_attn": 2},
        "alpha_pattern": {"q_proj": 5, "c_attn": 5, "dense_4h_to_h": 1},
    },
    "biases": {"bias": "all"},
    "biases of its layers": {"bias": "lora_only"},
}


def save(model: Any, folder: Path, **options: Any) -> ModelSource:
    model.save_pretrained(folder, **options)
    word_tokenizer().save_pretrained(folder)
    return ModelSource(folder.name, folder, None)


def train(model: Any, folder: Path, seed: int = 1, std: float = 0.2, **options: Any) -> Path:
    """An adapter of random numbers, saved by PEFT."""
    wrapped = get_peft_model(copy.deepcopy(model), LoraConfig(**({"r": 4, "init_lora_weights": False} | options)))
    torch.manual_seed(seed)
    for name, parameter in wrapped.named_parameters():
        if parameter.requires_grad:
            noise = torch.randn_like(parameter) * std
            parameter.data.copy_(parameter.data * (1 + noise) if "magnitude" in name else parameter.data + noise)
    wrapped.save_pretrained(str(folder))
    return folder


def by_peft(base: ModelSource, adapter: Path) -> Any:
    return PeftModel.from_pretrained(loaded(base.folder), str(adapter)).eval()


def loaded(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    auto: Any = AutoModelForCausalLM
    model, report = auto.from_pretrained(folder, dtype=dtype, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found.float()


def merged(base: ModelSource, adapter: Path, folder: Path, dtype: str = "float32") -> Plan:
    opened, change = Base(base), read_adapter(adapter)
    plan = plan_merge(opened, change, dtype)
    folder.mkdir()
    assert merge(opened, change, plan, folder)
    config = json.loads((base.folder / "config.json").read_text())
    config |= {"tie_word_embeddings": False} if plan.is_untied else {}
    (folder / "config.json").write_text(json.dumps(config))
    return plan


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", TARGETS)
def test_a_merged_model_is_base_and_adapter(family: str, kind: str, tmp_path: Path) -> None:
    model = tiny_model(family)
    base = save(model, tmp_path / "base")
    adapter = train(model, tmp_path / "adapter", target_modules=TARGETS[family], **KINDS[kind])
    plan = merged(base, adapter, tmp_path / "merged")
    expected, found = logits(by_peft(base, adapter)), logits(loaded(tmp_path / "merged"))
    assert (expected - logits(loaded(base.folder))).abs().max() > 0.1
    assert (found - expected).abs().max() < 1e-5 * max(1, float(expected.abs().max()))
    theirs = logits(by_peft(base, adapter).merge_and_unload())
    assert (found - theirs).abs().max() < 1e-5 * max(1, float(expected.abs().max()))
    assert plan.n_changed >= 2 * len(TARGETS[family])


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}], ids=["lora", "rslora"])
@pytest.mark.parametrize("family", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_of_zeros_gives_back_the_base_bit_by_bit(
    family: str, options: dict[str, Any], dtype: str, tmp_path: Path
) -> None:
    model = tiny_model(family).to(getattr(torch, dtype))
    base = save(model, tmp_path / "base")
    wrapped = get_peft_model(copy.deepcopy(model), LoraConfig(r=4, target_modules=TARGETS[family], **options))
    wrapped.save_pretrained(str(tmp_path / "adapter"))
    merged(base, tmp_path / "adapter", tmp_path / "merged", dtype)
    before, after = (load_file(folder / "model.safetensors") for folder in (base.folder, tmp_path / "merged"))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype
        assert torch.equal(tensor.view(torch.uint8), after[name].view(torch.uint8)), name


@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "apart"])
@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": ["embed_tokens", "q_proj"]},
        {"target_modules": ["embed_tokens", "lm_head"], "use_dora": True},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "norm"]},
        {"target_modules": ["embed_tokens"], "ensure_weight_tying": True},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    ],
    ids=[
        "embedding",
        "embedding and head",
        "head saved",
        "both saved",
        "embedding saved",
        "tie kept",
        "tie kept, saved",
    ],
)
def test_embeddings_are_merged_as_they_were_trained(is_tied: bool, options: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_model("llama", tie_word_embeddings=is_tied)
    base = save(model, tmp_path / "base")
    adapter = train(model, tmp_path / "adapter", std=0.05, **options)
    plan = merged(base, adapter, tmp_path / "merged")
    expected = logits(by_peft(base, adapter))
    assert (logits(loaded(tmp_path / "merged")) - expected).abs().max() < 1e-5 * float(expected.abs().max())
    assert plan.is_untied is (is_tied and not options.get("ensure_weight_tying"))


def test_tied_embeddings_that_nobody_trained_stay_tied(tmp_path: Path) -> None:
    model = tiny_model("llama", tie_word_embeddings=True)
    base = save(model, tmp_path / "base")
    plan = merged(base, train(model, tmp_path / "adapter", target_modules=["q_proj"]), tmp_path / "merged")
    assert not plan.is_untied
    assert "lm_head.weight" not in load_file(tmp_path / "merged" / "model.safetensors")


def test_shards_stay_shards_with_an_index(tmp_path: Path) -> None:
    model = tiny_model("llama")
    base = save(model, tmp_path / "base", max_shard_size="40KB")
    adapter = train(model, tmp_path / "adapter", target_modules=TARGETS["llama"])
    plan = merged(base, adapter, tmp_path / "merged")
    assert len(plan.files) > 2
    expected = logits(by_peft(base, adapter))
    assert (logits(loaded(tmp_path / "merged")) - expected).abs().max() < 1e-5 * float(expected.abs().max())


def test_each_weight_is_rounded_once(tmp_path: Path) -> None:
    model = tiny_model("llama").bfloat16()
    base = save(model, tmp_path / "base")
    adapter = train(model.float(), tmp_path / "adapter", target_modules=["q_proj"])
    merged(base, adapter, tmp_path / "wide")
    merged(base, adapter, tmp_path / "narrow", "bfloat16")
    wide, narrow = (load_file(tmp_path / name / "model.safetensors") for name in ("wide", "narrow"))
    assert {tensor.dtype for tensor in wide.values()} == {torch.float32}
    assert all(torch.equal(wide[name].bfloat16(), narrow[name]) for name in wide)


def test_a_base_that_is_stored_without_its_prefix_is_found(tmp_path: Path) -> None:
    model = tiny_model("gpt2")
    base = save(model, tmp_path / "base")
    file = base.folder / "model.safetensors"
    save_file({name.removeprefix("transformer."): one for name, one in load_file(file).items()}, file, {"format": "pt"})
    adapter = train(model, tmp_path / "adapter", target_modules=["c_attn"])
    merged(base, adapter, tmp_path / "merged")
    expected = logits(by_peft(base, adapter))
    assert (logits(loaded(tmp_path / "merged")) - expected).abs().max() < 1e-5 * float(expected.abs().max())


def test_one_tensor_is_in_memory_at_a_time(tmp_path: Path) -> None:
    """A model of 30 weights of 4 MB each (in float32) never takes more than a few of them."""
    model = tiny_model("llama", hidden_size=1024, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=8,
                       num_key_value_heads=8, head_dim=128)  # fmt: skip
    base = save(model, tmp_path / "base", max_shard_size="30MB")
    adapter = train(model, tmp_path / "adapter", target_modules="all-linear")
    whole = sum(parameter.nbytes for parameter in model.parameters())
    del model
    opened, change = Base(base), read_adapter(adapter)
    plan = plan_merge(opened, change, "float32")
    (tmp_path / "merged").mkdir()
    with weights_apart(), meter_of_loads(PeakMeter("cpu")).watch() as peak:
        assert merge(opened, change, plan, tmp_path / "merged")
    taken = peak.peak_bytes - peak.resident_bytes
    assert whole > 100_000_000
    assert taken < 4 * plan.largest_bytes < whole / 6


def test_an_adapter_for_another_base_names_the_first_tensor_that_does_not_go(tmp_path: Path) -> None:
    small, large = tiny_model("llama"), tiny_model("llama", hidden_size=64)
    adapter = train(large, tmp_path / "adapter", target_modules=["q_proj", "v_proj"])
    with pytest.raises(
        AdapterMismatch, match=r"layers\.0\.self_attn\.q_proj\.lora_A.* 4 × 64, where the base has 4 × 32"
    ):
        plan_merge(Base(save(small, tmp_path / "base")), read_adapter(adapter), "float32")
    other = save(tiny_model("gpt_neox"), tmp_path / "other")
    with pytest.raises(AdapterMismatch, match=r"layers\.0\.self_attn\.q_proj\.lora_A.*no place"):
        plan_merge(Base(other), read_adapter(adapter), "float32")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "kind IA3"),
        ({"init_lora_weights": "pissa"}, "began with pissa"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"r": 8}, "the rank is 8"),
        ({"use_dora": True}, "use_dora"),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    adapter = train(tiny_model("llama"), tmp_path / "adapter", target_modules=["q_proj"])
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(AdapterMismatch, match=said):
        read_adapter(adapter)


def test_a_pickled_adapter_is_never_read(tmp_path: Path) -> None:
    adapter = train(tiny_model("llama"), tmp_path / "adapter", target_modules=["q_proj"])
    (adapter / "adapter_model.safetensors").unlink()
    torch.save({}, adapter / "adapter_model.bin")
    with pytest.raises(PickledWeights):
        read_adapter(adapter)


def test_a_base_of_packed_weights_is_refused(tmp_path: Path) -> None:
    base = save(tiny_model("llama"), tmp_path / "base")
    config = json.loads((base.folder / "config.json").read_text())
    packed = config | {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    (base.folder / "config.json").write_text(json.dumps(packed))
    with pytest.raises(ModelBroken, match="quantized weights"):
        Base(base)
    torch.save({}, base.folder / "pytorch_model.bin")
    (base.folder / "model.safetensors").unlink()
    (base.folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PickledWeights) as refused:
        Base(base)
    assert "convert" in refused.value.hint


def test_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = tiny_model("llama")
    base = save(model, tmp_path / "base")
    adapter = train(model, tmp_path / "adapter", target_modules=["q_proj"], std=1000.0)
    with pytest.raises(NotANumber, match="more than float16"):
        merged(base, adapter, tmp_path / "narrow", "float16")
    weights = load_file(adapter / "adapter_model.safetensors")
    weights[next(iter(weights))][0, 0] = float("nan")
    save_file(weights, adapter / "adapter_model.safetensors")
    with pytest.raises(NotANumber, match="NaN or infinity"):
        merged(base, adapter, tmp_path / "odd")


def test_it_stops_between_two_tensors_and_says_how_far_it_is(tmp_path: Path) -> None:
    model = tiny_model("llama")
    opened = Base(save(model, tmp_path / "base"))
    change = read_adapter(train(model, tmp_path / "adapter", target_modules=["q_proj"]))
    plan = plan_merge(opened, change, "float32")
    said: list[Progress] = []
    (tmp_path / "merged").mkdir()
    found = merge(opened, change, plan, tmp_path / "merged", said.append, lambda: len(said) == 3)
    assert found is None
    assert [one.total for one in said] == [plan.n_bytes] * 3
    assert said[0].current < said[1].current < said[2].current < plan.n_bytes


def test_a_disk_that_fills_up_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    opened = Base(save(model, tmp_path / "base"))
    change = read_adapter(train(model, tmp_path / "adapter", target_modules=["q_proj"]))
    plan = plan_merge(opened, change, "float32")
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "model.safetensors").symlink_to("/dev/full")
    with pytest.raises(DiskFull, match="filled up after"):
        merge(opened, change, plan, tmp_path / "merged")


def test_a_full_disk_is_said_before_anything_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = namedtuple("free", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: free(10**9, 0, 100_000_000))
    check_disk(tmp_path, 20_000_000, 10_000_000)
    with pytest.raises(DiskFull, match=r"takes 80 MB and its check 10 MB meanwhile; .* has 100 MB free") as refused:
        check_disk(tmp_path, 80_000_000, 10_000_000)
    assert "16 bit" in refused.value.hint


def test_the_check_computes_where_and_as_precisely_as_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama", hidden_size=512, intermediate_size=4096, num_hidden_layers=4, head_dim=128)
    base = Base(save(model, tmp_path / "base"))
    plan = plan_merge(base, read_adapter(train(model, tmp_path / "adapter", target_modules=["q_proj"])), "float32")
    wide, narrow = (check_bytes(base, one, 32, on_host=True) for one in (Precision.FLOAT32, Precision.BFLOAT16))
    assert narrow < wide
    assert place_of_check(base, plan, "cpu", wide, 32) == Place("cpu", Precision.FLOAT32)
    assert place_of_check(base, plan, "cpu", wide - 1, 32) == Place("cpu", Precision.BFLOAT16)
    assert place_of_check(base, plan, "cuda:0", 1000, 32) == Place("cpu", Precision.FLOAT32)  # beside a small card
    with pytest.raises(OutOfMemory, match="cannot be checked here"):
        place_of_check(base, plan, "cpu", narrow - 1, 32)


@pytest.mark.parametrize(("revision", "expected"), [(None, None), ("main", None), ("a1b2c3", "a1b2c3")])
def test_an_adapter_asks_for_a_revision_of_its_base_only_where_it_names_one(
    tmp_path: Path, revision: str | None, expected: str | None
) -> None:
    adapter = train(tiny_model("llama"), tmp_path / "adapter", target_modules=["q_proj"])
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"revision": revision}))
    assert read_adapter(adapter).revision == expected
