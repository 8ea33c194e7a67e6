"""Adapters over one resident base: each request gets its own, and the base stays what it was."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from core.errors import AdapterMismatch, PickledWeights
from core.llm.engine import Engine, Request
from core.llm.loading import LoadedModel
from core.llm.sampling import resolve_sampling
from tests.llm.tiny import as_loaded, tiny_model

PROMPT = (5, 7, 9, 11)
EngineOf = Callable[..., Engine]


def make_adapter(folder: Path, seed: int, *, model: str = "llama", **changes: Any) -> Path:
    """An adapter that changes what the tiny model says, saved by PEFT."""
    options = {name: changes.pop(name) for name in ("use_dora", "use_rslora") if name in changes}
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, **options)
    wrapped = get_peft_model(tiny_model(model, **changes), config)
    torch.manual_seed(seed)  # after the model, which has a seed of its own
    for name, parameter in wrapped.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(parameter, std=2.0)
    wrapped.save_pretrained(str(folder))
    return folder


def ask(engine: Engine, adapter: str | None = None, n_tokens: int = 12) -> list[str]:
    sampling = resolve_sampling(engine.loaded, {"temperature": 0.0, "max_new_tokens": n_tokens}, len(PROMPT), 0)
    return "".join(chunk.text for chunk in engine.submit(Request(PROMPT, sampling, adapter))).split()


def by_peft(loaded: LoadedModel, folder: Path, n_tokens: int = 12) -> list[str]:
    """The same by PEFT's own way, on a copy."""
    wrapped = PeftModel.from_pretrained(copy.deepcopy(loaded.model), str(folder)).eval()
    ids: Any = wrapped.generate(  # type: ignore[no-untyped-call]
        input_ids=torch.tensor([PROMPT]), max_new_tokens=n_tokens, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return str(loaded.tokenizer.decode(ids[0, len(PROMPT) :])).split()


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"use_rslora": True}], ids=["lora", "dora", "rslora"])
def test_an_adapter_says_what_it_says_in_peft(
    tiny: LoadedModel, engine_of: EngineOf, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder = make_adapter(tmp_path / "a", 1, **options)
    expected = by_peft(tiny, folder)
    engine = engine_of(tiny)
    plain = ask(engine)
    engine.add_adapter("a", folder)
    assert ask(engine, "a") == expected
    assert expected != plain
    assert ask(engine) == plain


def test_requests_with_two_adapters_and_none_run_at_once_over_one_base(
    tiny: LoadedModel, engine_of: EngineOf, tmp_path: Path
) -> None:
    folders = {name: make_adapter(tmp_path / name, seed) for name, seed in (("a", 1), ("b.c", 2))}
    engine = engine_of(tiny)
    before = {name: id(each) for name, each in tiny.model.named_parameters() if "q_proj" in name}
    alone: dict[str | None, list[str]] = {None: ask(engine, n_tokens=40)}
    for name, folder in folders.items():
        engine.add_adapter(name, folder)
        alone[name] = ask(engine, name, 40)
    assert len({tuple(words) for words in alone.values()}) == 3
    sampling = resolve_sampling(tiny, {"temperature": 0.0, "max_new_tokens": 40}, len(PROMPT), 0)
    running = {name: engine.submit(Request(PROMPT, sampling, name)) for name in alone}
    together = {name: "".join(chunk.text for chunk in generation).split() for name, generation in running.items()}
    assert together == alone
    held = {id(each) for name, each in tiny.model.named_parameters() if "base_layer" in name}
    assert {each for name, each in before.items() if "q_proj" in name} <= held


def test_an_adapter_for_another_base_is_refused_and_the_base_goes_on(engine_of: EngineOf, tmp_path: Path) -> None:
    engine = engine_of(as_loaded(tiny_model("llama")))
    plain = ask(engine)
    foreign = make_adapter(tmp_path / "foreign", 1, model="mistral")
    config = foreign / "adapter_config.json"
    config.write_text(config.read_text().replace('"q_proj"', '"query_key_value"'))
    with pytest.raises(AdapterMismatch, match="does not go with"):
        engine.add_adapter("foreign", foreign)
    assert ask(engine) == plain


def test_an_adapter_of_another_shape_is_refused_and_the_next_one_works(
    tiny: LoadedModel, engine_of: EngineOf, tmp_path: Path
) -> None:
    engine = engine_of(tiny)
    plain = ask(engine)
    broken = make_adapter(tmp_path / "broken", 1)
    config = broken / "adapter_config.json"
    config.write_text(config.read_text().replace('"r": 4', '"r": 8'))
    with pytest.raises(AdapterMismatch, match="does not go with"):
        engine.add_adapter("broken", broken)
    assert ask(engine) == plain
    folder = make_adapter(tmp_path / "a", 1)
    engine.add_adapter("a", folder)
    assert ask(engine, "a") == by_peft(as_loaded(tiny_model("llama")), folder)
    assert ask(engine) == plain


def test_a_pickled_adapter_is_refused(tiny: LoadedModel, engine_of: EngineOf, tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "a", 1)
    (folder / "adapter_model.safetensors").unlink()
    torch.save({}, folder / "adapter_model.bin")
    with pytest.raises(PickledWeights):
        engine_of(tiny).add_adapter("a", folder)


def test_more_adapters_than_are_kept_push_out_the_longest_unused(
    tiny: LoadedModel, engine_of: EngineOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.llm.adapters.MOST", 2)
    monkeypatch.setattr("core.llm.adapters.KEPT_S", 0.0)
    engine = engine_of(tiny)
    for seed in range(4):
        engine.add_adapter(f"a{seed}", make_adapter(tmp_path / f"a{seed}", seed))
    kept = {name.split(".lora_A.")[1].split(".")[0] for name, _ in tiny.model.named_parameters() if ".lora_A." in name}
    assert len(kept) == 2
    said = [ask(engine, name) for name in ("a2", "a3")]
    assert said == [by_peft(as_loaded(tiny_model("llama")), tmp_path / name) for name in ("a2", "a3")]


@pytest.mark.parametrize(
    "change",
    [
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "olora"},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"trainable_token_indices": [3]},
        {"peft_type": "IA3"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_adapter_that_would_change_the_base_for_everybody_is_refused(
    tiny: LoadedModel, engine_of: EngineOf, tmp_path: Path, change: dict[str, Any]
) -> None:
    engine = engine_of(tiny)
    plain = ask(engine)
    folder = make_adapter(tmp_path / "a", 1)
    config = folder / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    for _ in range(2):
        with pytest.raises(AdapterMismatch):
            engine.add_adapter("a", folder)
    assert ask(engine) == plain


def test_an_adapter_that_was_put_away_is_never_answered_by_the_base(
    tiny: LoadedModel, engine_of: EngineOf, tmp_path: Path
) -> None:
    engine = engine_of(tiny)
    engine.add_adapter("a", make_adapter(tmp_path / "a", 1))
    with pytest.raises(AdapterMismatch, match="put away"):
        ask(engine, "another")
    assert ask(engine)
