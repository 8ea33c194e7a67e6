"""Pickled weights become safetensors with the same numbers; a pickle that would run code is refused, and runs none."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from core.catalog import resolve
from core.catalog.listing import list_models
from core.errors import DiskFull, ModelBroken, PickledWeights
from core.llm import convert as module
from core.llm.convert import Converted, convert
from core.values import Progress
from tests.catalog.making import CONFIG, make_snapshot


def nobody(progress: Progress) -> None:
    """A report that nobody reads."""


def make(folder: Path, tensors: Any, name: str = "pytorch_model.bin", **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "training_args.bin").write_bytes(b"x")
    torch.save(tensors, folder / name)
    return folder


def converted(folder: Path, home: Path) -> Converted:
    made = convert(resolve(str(folder), home), home, nobody, lambda: False)
    assert made is not None
    return made


def numbers() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    found = {
        "w": torch.randn(8, 4),
        "half": torch.randn(3).bfloat16(),
        "ids": torch.arange(5),
        "one": torch.tensor(2.0),
    }
    return found | {"none": torch.empty(0, 4), "turned": torch.randn(4, 6).T, "yes": torch.tensor([True, False])}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_the_numbers_are_the_same_and_what_lies_beside_them_is_copied(home: Path, tmp_path: Path) -> None:
    made = converted(make(tmp_path / "old", numbers()), home)
    assert {path.name for path in made.folder.iterdir()} == {"model.safetensors", "config.json", "tokenizer.json"}
    found = safetensors.torch.load_file(made.folder / "model.safetensors")
    assert found.keys() == numbers().keys()
    for name, tensor in numbers().items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert (made.name, made.n_tensors) == ("old", 7)
    assert resolve("old", home).folder == home / "models" / "old"
    assert next(each for each in list_models(home) if each.name == "old").problem == ""


def test_shards_stay_shards_with_an_index(home: Path, tmp_path: Path) -> None:
    names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    folder = make(make(tmp_path / "old", {"a": torch.ones(2)}, names[0]), {"b": torch.zeros(3)}, names[1])
    index = {"metadata": {}, "weight_map": {"a": names[0], "b": names[1]}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    made = converted(folder, home)
    new = json.loads((made.folder / "model.safetensors.index.json").read_text())
    assert new["weight_map"] == {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    assert not (made.folder / "pytorch_model.bin.index.json").exists()
    assert resolve("old", home).folder == made.folder


def test_a_snapshot_of_the_hub_keeps_its_name(home: Path, tmp_path: Path) -> None:
    make_snapshot(tmp_path / "cache", "org/old", make(tmp_path / "served", numbers()))
    made = convert(resolve("org/old", home, cache=tmp_path / "cache"), home, nobody, lambda: False)
    assert made is not None
    assert made.name == "org--old"


def test_a_tied_head_is_left_out_and_other_shared_memory_is_written_for_each(home: Path, tmp_path: Path) -> None:
    embedding = torch.randn(6, 4)
    shared = {"model.embed_tokens.weight": embedding, "lm_head.weight": embedding, "row": embedding[0]}
    tied = safetensors.torch.load_file(converted(make(tmp_path / "tied", shared), home).folder / "model.safetensors")
    assert set(tied) == {"model.embed_tokens.weight", "row"}
    assert torch.equal(tied["row"], embedding[0])
    folder = make(tmp_path / "untied", shared, tie_word_embeddings=False)
    untied = safetensors.torch.load_file(converted(folder, home).folder / "model.safetensors")
    assert torch.equal(untied["lm_head.weight"], embedding)


def test_a_converted_model_gives_the_same_logits(home: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=True,
    )  # fmt: skip
    make_model: Any = LlamaForCausalLM
    model = make_model(config).eval()
    folder = make(tmp_path / "old", model.state_dict())
    config.save_pretrained(folder)
    made = converted(folder, home)
    load: Any = AutoModelForCausalLM.from_pretrained
    again = load(made.folder, local_files_only=True, dtype=torch.float32)
    ids = torch.arange(10)[None]
    assert torch.equal(model(ids).logits, again(ids).logits)


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("is_zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(home: Path, tmp_path: Path, is_zipped: bool) -> None:
    mark, folder = tmp_path / "ran", make(tmp_path / "evil", {})
    evil = {"w": torch.ones(2), "x": _Evil(mark)}
    if is_zipped:
        torch.save(evil, folder / "pytorch_model.bin")
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(evil["x"]))
    with pytest.raises(PickledWeights, match=r"pytorch_model\.bin of .*evil holds more than numbers"):
        converted(folder, home)
    assert not mark.exists()
    assert not list((home / "models").iterdir())
    if is_zipped:
        torch.load(folder / "pytorch_model.bin", weights_only=False)
    else:
        pickle.loads((folder / "pytorch_model.bin").read_bytes())
    assert mark.exists()  # the pickle was a real one


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk", b"\x80\x02."])
def test_a_damaged_file_is_one_sentence(home: Path, tmp_path: Path, content: bytes) -> None:
    folder = make(tmp_path / "old", numbers())
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelBroken) as caught:
        converted(folder, home)
    assert "\n" not in caught.value.message


def test_a_file_that_is_cut_off_is_one_sentence(home: Path, tmp_path: Path) -> None:
    folder = make(tmp_path / "old", numbers())
    data = (folder / "pytorch_model.bin").read_bytes()
    (folder / "pytorch_model.bin").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelBroken, match="damaged"):
        converted(folder, home)


def test_what_holds_no_weights_is_one_sentence(home: Path, tmp_path: Path) -> None:
    for nth, content in enumerate(([1, 2], {"a": 1}, torch.ones(2))):
        with pytest.raises(ModelBroken, match="no weights by name"):
            converted(make(tmp_path / f"old{nth}", content), home)


def test_nothing_is_converted_twice_or_without_need(home: Path, tmp_path: Path) -> None:
    folder = make(tmp_path / "old", numbers())
    made = converted(folder, home)
    with pytest.raises(ModelBroken, match="converted already"):
        converted(folder, home)
    with pytest.raises(ModelBroken, match="nothing to convert"):
        converted(made.folder, home)


def test_a_stopped_conversion_leaves_nothing(home: Path, tmp_path: Path) -> None:
    assert convert(resolve(str(make(tmp_path / "old", numbers())), home), home, nobody, lambda: True) is None
    assert list((home / "models").iterdir()) == []


def test_a_full_disk_is_said_before(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MARGIN_BYTES", 10**15)
    with pytest.raises(DiskFull, match="MB free"):
        converted(make(tmp_path / "old", numbers()), home)


MEASURED = """
import sys
from pathlib import Path
from core.catalog import resolve
from core.llm.convert import convert

def anonymous_bytes():
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024

seen = [anonymous_bytes()]
convert(resolve(sys.argv[1], Path(sys.argv[2])), Path(sys.argv[2]), lambda _: seen.append(anonymous_bytes()), bool)
print(max(seen) - seen[0])
"""


def test_a_large_file_is_converted_in_little_memory(home: Path, tmp_path: Path) -> None:
    folder = make(tmp_path / "large", {f"w{nth}": torch.full((4_000_000,), float(nth)) for nth in range(20)})
    assert (folder / "pytorch_model.bin").stat().st_size > 320e6
    command = [sys.executable, "-c", MEASURED, str(folder), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60e6
