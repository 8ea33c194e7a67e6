"""A Hub of the tests' own with a few repositories, and the way to ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from core.hub.access import Access
from tests.hub.server import Hub, hub_server

NAME = "tests/tiny-llama"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as served:
        yield served


@pytest.fixture
def repository(hub: Hub, tmp_path: Path) -> Path:
    """A sharded model of 8 MB with what one usually finds beside it, served as `NAME`."""
    folder = tmp_path / "served"
    make_model(folder)
    hub.add(NAME, folder)
    return folder


def make_model(folder: Path, n_numbers: int = 1_000_000) -> None:
    """Two shards, small files, and other frameworks' weights that nobody needs."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    index: dict[str, str] = {}
    for nth, name in enumerate(SHARDS):
        safetensors.torch.save_file({f"w{nth}": torch.randn(n_numbers)}, folder / name)
        index[f"w{nth}"] = name
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    for unwanted in ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "modeling_evil.py", "model.onnx"):
        (folder / unwanted).write_bytes(b"x" * 1000)


@pytest.fixture
def access(hub: Hub, tmp_path: Path) -> Access:
    return Access(hub.endpoint, tmp_path / "cache")
