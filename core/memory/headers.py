"""The tensors of a model's files, read from their headers: for model types that are not described, and for downloads.

A safetensors file begins with eight bytes of length and a JSON object; nothing else of it is read. What the built model
keeps may differ from what its file holds (tied heads stored twice, parts that are never built), and the table says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelBroken
from core.memory.config import MOST, Config
from core.memory.family import ALL_ATTENTIONS
from core.memory.geometry import usual_config
from core.memory.layers import grouped
from core.memory.shapes import Table
from core.memory.tensors import Kind, Tensor

Reader = Callable[[int, int], bytes]  # (offset, length) → those bytes: of a file, or of a Range request

MOST_HEADER_BYTES = 100_000_000  # the format's own limit
INDEX_NAME = "model.safetensors.index.json"
SOURCE = "from the files' headers: this model type is not described here, so the built model may differ a little"
EMBEDDINGS = re.compile(r"(embed|wte|wpe|lm_head|output\.weight|word_embeddings)")
EXPERTS = re.compile(r"\bexperts\b")


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a file: its shape, dtype and the bytes that it takes there."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    n_bytes: int


def read_header(read: Reader) -> tuple[Stored, ...]:
    """The tensors of one safetensors file.

    Raises:
        ModelBroken: the header is cut off, too long, or not what the format says.
    """
    n_bytes = int.from_bytes(_exactly(read, 0, 8), "little")
    if not 2 <= n_bytes <= MOST_HEADER_BYTES:
        raise ModelBroken(f"This is no safetensors file: its header would have {n_bytes:,} bytes.")
    try:
        header = json.loads(_exactly(read, 8, n_bytes))
        entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
        return tuple(_stored(name, entry) for name, entry in entries)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ModelBroken("The header of a safetensors file is damaged.") from error


def _stored(name: str, entry: Mapping[str, Any]) -> Stored:
    shape = tuple(int(width) for width in entry["shape"])
    begin, end = entry["data_offsets"]
    if any(not 0 <= width <= MOST for width in shape) or not 0 <= begin <= end:
        raise ValueError(name)
    return Stored(name, shape, str(entry["dtype"]), int(end) - int(begin))


def _exactly(read: Reader, offset: int, length: int) -> bytes:
    found = read(offset, length)
    if len(found) != length:
        raise ModelBroken("A safetensors file ends inside its header.")
    return found


def file_reader(path: Path) -> Reader:
    """A reader of a local file."""

    def read(offset: int, length: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    return read


def read_folder(folder: Path) -> tuple[Stored, ...]:
    """The tensors of all .safetensors files of a local folder, by its index where it has one.

    Raises:
        ModelBroken: a file is missing or damaged; there is none.
    """
    index = folder / INDEX_NAME
    names = (
        files_of(index.read_bytes()) if index.is_file() else sorted(one.name for one in folder.glob("*.safetensors"))
    )
    if not names:
        raise ModelBroken(f"{folder} holds no .safetensors files.")
    return read_files(names, lambda name: file_reader(folder / name))


def read_files(names: Iterable[str], reader_of: Callable[[str], Reader]) -> tuple[Stored, ...]:
    """The tensors of several files, wherever `reader_of` finds each of them.

    Raises:
        ModelBroken: a file is missing or damaged.
    """
    found: list[Stored] = []
    for name in names:
        try:
            found += read_header(reader_of(name))
        except OSError as error:
            raise ModelBroken(f"{name} cannot be read: {error.strerror}.") from error
    return tuple(found)


def files_of(index: bytes) -> list[str]:
    """The files that an index (`model.safetensors.index.json`) names.

    Raises:
        ModelBroken: it is damaged.
    """
    try:
        named = json.loads(index)["weight_map"].values()
        # a stranger's index must not lead out of its folder
        return sorted({Path(str(name)).name for name in named})
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ModelBroken(f"{INDEX_NAME} is damaged.") from error


def table_of(raw: Mapping[str, Any], stored: Iterable[Stored]) -> Table:
    """A table from what the files hold, with the cache where config.json has the usual keys."""
    config = usual_config(Config(raw))
    tensors = tuple(Tensor(one.name, one.shape, kind_of(one.name, one.shape)) for one in stored)
    caches = tuple(grouped(config, i) for i in range(config.layers)) if config else None
    kind = raw.get("model_type")
    return Table(str(kind)[:100] if kind else "unknown", tensors, caches, config, SOURCE, ALL_ATTENTIONS)


def kind_of(name: str, shape: tuple[int, ...]) -> Kind:
    """What a stored tensor most likely is, by its name and shape."""
    if EMBEDDINGS.search(name):
        return Kind.EMBEDDING
    if EXPERTS.search(name):
        return Kind.FUSED_EXPERT  # stored one by one or together: transformers fuses them when it builds the model
    if len(shape) == 2 and name.endswith(".weight"):
        return Kind.LINEAR
    if "norm" in name or "ln_" in name:
        return Kind.NORM
    return Kind.CONV if len(shape) > 2 else Kind.OTHER
