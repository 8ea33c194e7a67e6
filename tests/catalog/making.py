"""Models of every sort as files alone: headers that are right, with few or no numbers behind them."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import safetensors.numpy
from numpy import zeros

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
}


def make_folder(folder: Path, weights: str | None = "model.safetensors", **config: Any) -> Path:
    """A folder with config.json, a README that names a licence, a chat template, and 100 numbers of weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    if weights == "model.safetensors":
        safetensors.numpy.save_file({"w": zeros(100, "float32")}, folder / weights)
    elif weights:
        (folder / weights).write_bytes(b"x" * 1000)
    return folder


def make_adapter(folder: Path, base: str) -> Path:
    """A LoRA adapter as PEFT writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}))
    safetensors.numpy.save_file({"lora_A": zeros((4, 8), "float16")}, folder / "adapter_model.safetensors")
    return folder


def make_gguf(path: Path) -> Path:
    """A GGUF file of one tensor of 4,096 numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    values = {"general.architecture": "llama", "general.license": "mit", "tokenizer.chat_template": "{{ messages }}"}
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values) + 1)
    for name, value in values.items():
        head += text(name) + struct.pack("<I", 8) + text(value)
    head += text("llama.context_length") + struct.pack("<II", 4, 512)
    head += text("token_embd.weight") + struct.pack("<IQQIQ", 2, 64, 64, 0, 0)
    path.write_bytes(head + bytes(-len(head) % 32) + bytes(4096 * 4))
    return path


def make_snapshot(cache: Path, name: str, source: Path, *, commit: str = "", branch: str = "main") -> str:
    """Lay a folder out as the Hub's library does; the commit."""
    commit = commit or hashlib.sha1(f"{name}{branch}".encode()).hexdigest()
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir(exist_ok=True)
    for path in source.iterdir():
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(f"../../blobs/{blob.name}")
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / branch).write_text(commit)
    return commit
