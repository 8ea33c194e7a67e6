"""Types that are not described are read from the headers of their files, and packed checkpoints from what they say."""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from core.catalog.builtin import installed_gguf
from core.errors import BadConfig, ModelBroken
from core.memory import Precision, estimate, read_model
from core.memory.cache import kv_bytes_per_token
from core.memory.files import open_model
from core.memory.gguf import read_gguf
from core.memory.headers import Reader, file_reader, files_of, read_files, read_folder, read_header
from core.memory.tensors import Kind
from tests.memory.support import configs

USUAL = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 16}


def _layer(i: int) -> dict[str, torch.Tensor]:
    return {
        f"body.{i}.proj.weight": torch.zeros(8, 24, dtype=torch.bfloat16),
        f"body.{i}.norm.weight": torch.zeros(8),
        f"body.{i}.experts.0.up.weight": torch.zeros(4, 8, dtype=torch.bfloat16),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of an unknown type in two shards, with one file beside them that its index does not name."""
    save_file({"embed.weight": torch.zeros(16, 8), **_layer(0)}, tmp_path / "a.safetensors", metadata={"format": "pt"})
    save_file(_layer(1), tmp_path / "b.safetensors")
    save_file({"stray": torch.zeros(100)}, tmp_path / "c.safetensors")
    weight_map = {"embed.weight": "a.safetensors", "body.1.norm.weight": "b.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "brand_new", **USUAL}))
    return tmp_path


def test_an_unknown_type_is_read_from_its_shards_and_labelled_so(folder: Path) -> None:
    model = open_model(folder)
    assert model.table.parameters == 16 * 8 + 2 * (8 * 24 + 8 + 4 * 8)
    assert {kind: model.table.count(kind) for kind in (Kind.LINEAR, Kind.EMBEDDING, Kind.FUSED_EXPERT, Kind.NORM)} == {
        Kind.LINEAR: 2 * 8 * 24, Kind.EMBEDDING: 128, Kind.FUSED_EXPERT: 64, Kind.NORM: 16,
    }  # fmt: skip
    assert model.table.source.startswith("from the files' headers")
    assert kv_bytes_per_token(model.table, 2) == 2 * 2 * 8 * 2


def test_without_the_usual_keys_the_cache_is_unknown_and_said_to_be(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "brand_new"}')
    asked = estimate(open_model(folder), precision=Precision.NF4)
    assert asked.as_json()["kv_cache_bytes_per_token"] is None
    assert any("unknown for this model type" in note for note in asked.notes)


def test_an_unknown_type_without_files_is_a_sentence() -> None:
    with pytest.raises(BadConfig, match="'brand_new' is not described here"):
        estimate({"model_type": "brand_new", **USUAL})


def test_a_reader_of_ranges_is_asked_for_the_header_alone(folder: Path) -> None:
    asked: list[tuple[int, int]] = []
    read = file_reader(folder / "a.safetensors")

    def ranged(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return read(offset, length)

    assert len(read_header(ranged)) == 4
    assert asked[0] == (0, 8)
    assert asked[1][0] == 8
    assert asked[1][1] < 1000


def test_shards_are_found_by_an_index_wherever_they_lie(folder: Path) -> None:
    names = files_of((folder / "model.safetensors.index.json").read_bytes())
    assert names == ["a.safetensors", "b.safetensors"]
    assert read_files(names, lambda name: file_reader(folder / name)) == read_folder(folder)


@pytest.mark.parametrize("keep", [0, 4, 8, 60])
def test_a_header_that_is_cut_off_is_a_sentence(folder: Path, keep: int) -> None:
    file = folder / "a.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelBroken):
        open_model(folder)


def test_an_index_cannot_lead_out_of_its_folder(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../../etc/b.safetensors"}}')
    assert {one.name for one in read_folder(folder)} == set(_layer(1))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_header_of_random_bytes_crashes(body: bytes) -> None:
    for text in (struct.pack("<Q", len(body)) + body, body, b"GGUF" + body):
        for parse in (read_header, read_gguf):
            with contextlib.suppress(ModelBroken):
                parse(_reader_of(text))


def _reader_of(text: bytes) -> Reader:
    return lambda offset, length: text[offset : offset + length]


@pytest.mark.skipif(installed_gguf() is None, reason="the built-in model's wheel is not installed")
def test_the_built_in_models_packed_file_is_understood_as_the_dense_model_that_it_becomes() -> None:
    path = installed_gguf()
    assert path is not None
    model = open_model(path)
    assert model.table.parameters == 134_515_008
    assert model.trained_context == 8192
    asked = estimate(model, precision=Precision.NF4)
    assert "stored in gguf already" in asked.notes[0]
    assert sum(one.n_bytes for one in read_gguf(file_reader(path)).tensors) == 96_576_768


def _packed(name: str, **packing: Any) -> dict[str, Any]:
    return {**configs()[name], "quantization_config": packing}


def test_a_checkpoint_in_mxfp4_has_its_native_size_and_refuses_to_be_packed_again() -> None:
    said = estimate(configs()["openai/gpt-oss-20b"], precision=Precision.NF4).as_json()
    assert said["as_stored"]["n_bytes"] == 13_761_264_768
    assert "bfloat16" not in said["not_applicable"]
    assert "stored in mxfp4 already" in said["not_applicable"]["nf4"]


def test_fp8_takes_a_byte_a_weight_and_a_scale_for_each_block() -> None:
    raw = _packed("meta-llama/Llama-2-7b-hf", quant_method="fp8", weight_block_size=[128, 128])
    table = read_model(raw).table
    packed = sum(one.n_elements for one in table.linears)
    said = estimate(raw).as_json()
    assert said["as_stored"]["n_bytes"] == packed + 4 * packed // 128**2 + 2 * (table.parameters - packed)


@pytest.mark.parametrize(("method", "index"), [("gptq", True), ("awq", False)])
def test_gptq_and_awq_pack_into_groups(method: str, index: bool) -> None:
    raw = _packed("meta-llama/Llama-2-7b-hf", quant_method=method, bits=4, group_size=128)
    table, said = read_model(raw).table, estimate(raw).as_json()
    packed = sum(
        one.n_elements // 2 + one.n_in // 128 * (2 * one.n_out + one.n_out // 2) + 4 * one.n_in * index
        for one in table.linears
    )
    assert said["as_stored"]["n_bytes"] == packed + 2 * table.count(Kind.EMBEDDING, Kind.NORM)
    assert "used as it is stored" in said["not_applicable"]["bfloat16"]
    assert said["parts"][0] == said["as_stored"]  # so that is what counts
