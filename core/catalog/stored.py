"""What the headers of a folder's weights say: tensors, dtype, how many numbers, and whether the files are whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from core.catalog.weights import Form, Weights, missing_files, weights_of
from core.errors import ModelBroken
from core.memory.headers import Stored, file_reader, read_header
from core.memory.model import read_model
from core.memory.shapes import is_known

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8"}
TIED_HEAD, EMBEDDING = "lm_head.weight", re.compile(r"(embed_tokens|embed_in|wte|word_embeddings)\.weight$")


def read_weights(folder: Path) -> tuple[Weights, tuple[Stored, ...], str]:
    """The files of the weights, their tensors where the headers say them, and what is wrong with them."""
    weights = weights_of(folder)
    if not weights.files:
        return weights, (), "It holds no weights."
    if missing := missing_files(folder, weights):
        n_more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return weights, (), f"It is incomplete: {missing[0]}{n_more} is missing."
    if weights.form is Form.PICKLED:
        return weights, (), "Its weights are pickled, a format that can run code when it is read: convert it once."
    if weights.form is not Form.SAFETENSORS:
        return weights, (), ""
    try:
        return weights, tuple(one for name in weights.files for one in read_whole_header(folder / name)), ""
    except ModelBroken as error:
        return weights, (), error.message


def read_whole_header(path: Path) -> tuple[Stored, ...]:
    """The tensors of a safetensors file that is as long as its header says.

    Raises:
        ModelBroken: it is cut off or damaged.
    """
    read = file_reader(path)
    stored = read_header(read)
    end = 8 + int.from_bytes(read(0, 8), "little") + sum(one.n_bytes for one in stored)
    if path.stat().st_size < end:
        raise ModelBroken(f"{path.name} is cut off: {path.stat().st_size:,} of {end:,} bytes are there.")
    return stored


def parameters_of(config: Mapping[str, Any], stored: tuple[Stored, ...], is_quantized: bool) -> int | None:
    """Exact where the headers hold the numbers as such; of packed ones, by the table of the model's type."""
    if not is_quantized and stored:
        is_tied = config.get("tie_word_embeddings", True) is not False
        once = [one for one in stored if not (is_tied and one.name == TIED_HEAD)]
        return count(once if any(EMBEDDING.search(one.name) for one in once) else stored)
    if is_known(config):
        return read_model(config).table.parameters
    return None


def count(stored: Iterable[Stored]) -> int | None:
    """How many numbers there are; None where there are no headers."""
    return sum(prod(one.shape) for one in stored) or None


def dtype_of(stored: Iterable[Stored]) -> str:
    """The dtype in which most bytes are stored."""
    n_bytes = Counter[str]()
    for one in stored:
        n_bytes[one.dtype] += one.n_bytes
    most = n_bytes.most_common(1)
    return DTYPES.get(most[0][0], most[0][0].lower()) if most else ""
