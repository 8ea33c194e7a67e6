"""The tensors of a GGUF file, read from its header: names, shapes and the block type of each.

transformers unpacks such a file when it loads it, so a card needs the dense model's bytes, not the file's.
Source: the format's description in ggml (docs/gguf.md) and its block sizes (ggml-common.h).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from core.errors import ModelBroken
from core.memory.headers import Reader, Stored

MAGIC = b"GGUF"
MOST_ENTRIES = 1_000_000
CHUNK_BYTES = 1 << 20
MOST_HEADER_BYTES = 256 << 20  # the vocabulary and its merges stand in it

# ggml type → (name, numbers in a block, bytes of a block)
BLOCKS: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}  # struct's codes
STRING, ARRAY = 8, 9

# config.json's key → the key below `<architecture>.`
CONFIG_KEYS = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "max_position_embeddings": "context_length",
    "sliding_window": "attention.sliding_window",
}
ALIKE = (
    "llama",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "phi3",
    "olmo2",
    "starcoder2",
)  # architectures named as model types


@dataclass(frozen=True, slots=True)
class Gguf:
    """A file's tensors and those of its values that are single numbers, switches and words."""

    tensors: tuple[Stored, ...]
    values: Mapping[str, Any]

    def config(self) -> dict[str, Any]:
        """The config.json that says the same, as far as the file says it; `model_type` only where it is described."""
        kind = str(self.values.get("general.architecture", ""))
        said = {key: self.values.get(f"{kind}.{theirs}") for key, theirs in CONFIG_KEYS.items()}
        found = {key: value for key, value in said.items() if value is not None}
        names = {one.name: one.shape for one in self.tensors}
        found["vocab_size"] = names.get("token_embd.weight", (0,))[0]
        found["tie_word_embeddings"] = "output.weight" not in names
        found["quantization_config"] = {"quant_method": "gguf"}
        return {**found, "model_type": kind if kind in ALIKE else f"gguf {kind[:40]}"}


def read_gguf(read: Reader) -> Gguf:
    """The header of a GGUF file; shapes as torch has them, the other way round than in the file.

    Raises:
        ModelBroken: it is none, its header is cut off or damaged, or a block type is not known.
    """
    cursor = _Cursor(read)
    if cursor.take(4) != MAGIC:
        raise ModelBroken("This is no GGUF file.")
    version, n_tensors, n_values = cursor.unpack("<IQQ")
    if version not in (2, 3) or n_tensors > MOST_ENTRIES or n_values > MOST_ENTRIES:
        raise ModelBroken("The header of this GGUF file is damaged or of a version that is not known here.")
    values = {}
    for _ in range(n_values):
        name = cursor.string()
        values[name] = cursor.value(cursor.unpack("<I")[0])
    return Gguf(tuple(_tensor(cursor) for _ in range(n_tensors)), values)


def _tensor(cursor: _Cursor) -> Stored:
    name, n_dimensions = cursor.string(), cursor.unpack("<I")[0]
    if n_dimensions > 8:
        raise ModelBroken("The header of this GGUF file is damaged.")
    shape = cursor.unpack(f"<{n_dimensions}Q")
    kind, _ = cursor.unpack("<IQ")
    if kind not in BLOCKS:
        raise ModelBroken(f"The tensor {name[:80]!r} has a block type that is not known here ({kind}).")
    dtype, per_block, block_bytes = BLOCKS[kind]
    return Stored(name, tuple(reversed(shape)), dtype, prod(shape) // per_block * block_bytes)


@dataclass
class _Cursor:
    """A place in the file, which is read in large pieces."""

    read: Reader
    offset: int = 0
    start: int = 0
    piece: bytes = b""

    def take(self, n: int) -> bytes:
        if self.offset + n > MOST_HEADER_BYTES:
            raise ModelBroken("The header of this GGUF file is damaged: it never ends.")
        if self.offset + n > self.start + len(self.piece):
            self.start, self.piece = self.offset, self.read(self.offset, max(n, CHUNK_BYTES))
        begin = self.offset - self.start
        found = self.piece[begin : begin + n]
        if len(found) != n:
            raise ModelBroken("This GGUF file ends inside its header.")
        self.offset += n
        return found

    def unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def string(self) -> str:
        return self.take(self.unpack("<Q")[0]).decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        """A value by its type; a list is passed over and gives None."""
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            return self._skip_array()
        if kind not in SCALARS:
            raise ModelBroken("The header of this GGUF file is damaged.")
        return self.unpack(f"<{SCALARS[kind]}")[0]

    def _skip_array(self) -> None:
        of, n = self.unpack("<IQ")
        if of in SCALARS:
            self.take(n * struct.calcsize(f"<{SCALARS[of]}"))
        elif of == STRING and n <= 10 * MOST_ENTRIES:
            for _ in range(n):
                self.take(self.unpack("<Q")[0])
        else:
            raise ModelBroken("The header of this GGUF file is damaged.")
