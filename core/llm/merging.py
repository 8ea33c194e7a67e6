"""Merges an adapter into its base, from safetensors to safetensors, one tensor in memory at a time.

Each weight is computed in float32 and rounded once, to the dtype that was asked for; what the adapter leaves alone is
copied. Whether the merged model is what base and adapter were is for `core.llm.merge_check` to say.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from core.catalog.weights import INDEX_NAME
from core.errors import DiskFull
from core.llm.merging_adapter import Adapter
from core.llm.merging_base import Base
from core.llm.merging_plan import Made, Plan
from core.llm.merging_weights import Factors, check_finite, merged_weight, rounded
from core.llm.pickles import DTYPES
from core.values import Progress


@dataclass(frozen=True, slots=True)
class Merged:
    """What was written."""

    n_tensors: int
    n_changed: int
    n_bytes: int


def merge(
    base: Base,
    adapter: Adapter,
    plan: Plan,
    folder: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Merged | None:
    """Write the weights of the merged model into a folder; None where it was asked to stop, with files cut off.

    Raises:
        NotANumber: a weight would be none, or is too large for the dtype.
        ModelBroken: a file of the base changed meanwhile.
        DiskFull: the disk filled up.
    """
    written = 0
    for file, tensors in plan.files:
        try:
            with (folder / file).open("wb") as opened:
                for n_bytes in _write(opened, tensors, base, adapter):
                    written += n_bytes
                    report(Progress(current=written, total=plan.n_bytes, message=f"merging {file}"))
                    if should_stop():
                        return None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DiskFull(
                f"The disk of {folder.parent} filled up after {written / 1e6:,.0f} of {plan.n_bytes / 1e6:,.0f} MB.",
                "Remove models that are not needed.",
            ) from error
    _write_index(folder, plan)
    return Merged(len(plan.tensors), plan.n_changed, written)


def _write(file: IO[bytes], tensors: tuple[Made, ...], base: Base, adapter: Adapter) -> Iterator[int]:
    """One safetensors file, tensor by tensor; gives the bytes of each."""
    file.write(_header(tensors))
    for made in tensors:
        found = rounded(made.name, _tensor(made, base, adapter), made.dtype)
        file.write(found.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        del found  # before the next is read
        yield made.n_bytes


def _header(tensors: tuple[Made, ...]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for one in tensors:
        begin, end = end, end + one.n_bytes
        header[one.name] = {"dtype": DTYPES[one.dtype], "shape": list(one.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format asks that the numbers begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text


def _tensor(made: Made, base: Base, adapter: Adapter) -> Tensor:
    """A tensor of the merged model, before it is rounded."""
    weight = adapter.read(made.replaced) if made.replaced else base.read(made.source)
    if not made.is_changed:
        return weight
    if made.low_rank:
        one = made.low_rank
        magnitude = adapter.read(one.magnitude) if one.magnitude else None
        factors = Factors(adapter.read(one.a), adapter.read(one.b), one.scale, magnitude)
        weight = merged_weight(weight, factors, is_transposed=base.is_transposed(one.module))
    if made.bias:
        weight = weight.float() + made.bias_scale * adapter.read(made.bias).float()
    check_finite(made.name, weight)
    return weight


def _write_index(folder: Path, plan: Plan) -> None:
    if len(plan.files) < 2:
        return
    where = {one.name: file for file, tensors in plan.files for one in tensors}
    index = {"metadata": {"total_size": plan.n_bytes}, "weight_map": where}
    (folder / INDEX_NAME).write_text(json.dumps(index, indent=1, sort_keys=True), encoding="utf-8")
