"""Reads a file of pickled weights as numbers alone, and writes such numbers as safetensors, tensor by tensor.

`torch.load(weights_only=True)` builds tensors and plain containers and nothing else, so a pickle that would run code is
refused. The library's own writer of safetensors would hold a second copy of the whole file in memory.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from core.errors import ModelBroken, PickledWeights

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
WRAPPERS = ("state_dict", "model", "module")


def read_pickled(path: Path, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a file by their names, mapped where it can be, so that they take no memory until they are used.

    Raises:
        PickledWeights: it holds more than numbers; nothing of it was run.
        ModelBroken: it is damaged, or holds nothing that safetensors could.
    """
    try:
        found = _unpickled(path)
    except pickle.UnpicklingError as error:
        raise PickledWeights(
            f"{path.name} of {name} holds more than numbers, and was not read: it could run code.",
            "Do not use this model unless you know who made it, and why.",
        ) from error
    except Exception as error:  # a stranger's bytes make the reader fail in any way there is
        raise ModelBroken(f"{path.name} of {name} is damaged or is no file of weights.") from error
    return _tensors(found, path, name)


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        return torch.load(path, map_location="cpu", weights_only=True)  # of torch before 1.6: it cannot be mapped


def _tensors(found: Any, path: Path, name: str) -> dict[str, torch.Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]  # a checkpoint of a training, whose weights are one part of it
    named = found.items() if isinstance(found, Mapping) else ()
    tensors = {str(key): value for key, value in named if isinstance(value, torch.Tensor)}
    if not tensors:
        raise ModelBroken(f"{path.name} of {name} holds no weights by name.")
    for key, tensor in tensors.items():
        if tensor.dtype not in DTYPES or tensor.layout is not torch.strided or tensor.is_quantized:
            raise ModelBroken(f"{path.name} of {name} holds {key[:80]!r} in a form that safetensors has not.")
    return tensors


def write_safetensors(file: IO[bytes], tensors: Mapping[str, torch.Tensor]) -> Iterator[torch.Tensor]:
    """Write one safetensors file; gives each tensor after it is written."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[key] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format asks that the numbers begin at a multiple of eight
    file.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        file.write(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        yield tensor
