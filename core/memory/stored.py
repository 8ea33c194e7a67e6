"""Checkpoints that are stored packed: what they take as they are, and what can be made of them.

By `quantization_config` of config.json. bitsandbytes cannot pack what is packed already, so its precisions do not apply
to such a checkpoint, and the figures for them are those of the model once it is unpacked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.memory.config import Config
from core.memory.formula import Part, number, part
from core.memory.shapes import Table
from core.memory.tensors import Kind, Tensor
from core.precision import Precision

MXFP4_BLOCK, FP8_BLOCK = 32, 128
UNPACKED_BY_CHOICE = {"mxfp4", "fp8", "gguf", "compressed-tensors", "fbgemm_fp8"}


@dataclass(frozen=True, slots=True)
class Packing:
    """How a checkpoint is stored.

    Args:
        method: `quant_method` of the file.
        bits, group: of GPTQ and AWQ.
        left: parts of names of modules that are stored dense.
    """

    method: str
    bits: int = 4
    group: int = 128
    left: tuple[str, ...] = ()


def packing_of(raw: Mapping[str, Any]) -> Packing | None:
    """The packing that config.json names, or None.

    Raises:
        BadConfig: it is no sane one.
    """
    said = Config(raw).part("quantization_config")
    if not said:
        return None
    c = Config(said, {"quant_method": "", "bits": 4, "group_size": 128})
    method, group = c.value("quant_method"), c.value("group_size")
    left = c.value("modules_to_not_convert")
    names = tuple(str(name)[:200].strip("^$.*") for name in left[:1000]) if isinstance(left, list) else ()
    is_per_row = group == -1  # GPTQ's word for one scale a row
    return Packing(
        str(method).lower()[:40] if isinstance(method, str) else "unknown",
        min(max(c.optional("bits", least=1) or 4, 1), 8),
        0 if is_per_row else (c.optional("group_size", least=1) or 128),
        names,
    )


def why_not(packing: Packing | None, precision: Precision) -> str:
    """Why a precision cannot be had from such a checkpoint; nothing where it can."""
    if packing is None or (not precision.is_quantized and packing.method in UNPACKED_BY_CHOICE):
        return ""
    if precision.is_quantized:
        return f"the checkpoint is stored in {packing.method} already, and bitsandbytes cannot pack it again"
    return f"the checkpoint is stored in {packing.method} and is used as it is stored"


def stored_part(table: Table, packing: Packing) -> Part | None:
    """What the weights take as they are stored; None for a method whose layout is not known here."""
    packed = [one for one in table.tensors if _is_packed(one, packing)]
    layout = {"mxfp4": _mxfp4, "fp8": _fp8, "gptq": _gptq, "awq": _awq}.get(packing.method)
    if layout is None or not packed:
        return None
    n = sum(one.n_elements for one in packed)
    n_bytes = sum(layout(one, packing) for one in packed) + 2 * (table.parameters - n)
    words = f"{number(n)} weights in {packing.method} + {number(table.parameters - n)} × 2 bytes"
    return part(f"weights in {packing.method}", n_bytes, words, WORDS[packing.method])


WORDS = {
    "mxfp4": "4 bits a weight and a byte for each 32; without its kernels it is unpacked to bfloat16",
    "fp8": "a byte a weight and a float32 scale for each block of 128 × 128",
    "gptq": "weights packed into int32, float16 scales and packed zeros for each group, an int32 index a row",
    "awq": "weights packed into int32, float16 scales and packed zeros for each group",
}


def _is_packed(one: Tensor, packing: Packing) -> bool:
    if packing.method == "mxfp4":
        return one.kind is Kind.FUSED_EXPERT
    kinds = (Kind.LINEAR, Kind.LINEAR_SUBCLASS, Kind.FUSED_EXPERT) if packing.method == "fp8" else (Kind.LINEAR,)
    return one.kind in kinds and not any(name and name in one.name for name in packing.left)


def _mxfp4(one: Tensor, _: Packing) -> int:
    return -(-one.n_elements // 2) + -(-one.n_elements // MXFP4_BLOCK)


def _fp8(one: Tensor, _: Packing) -> int:
    *experts, rows, columns = (1, *one.shape)
    blocks = -(-rows // FP8_BLOCK) * -(-columns // FP8_BLOCK)
    for n in experts:
        blocks *= n
    return one.n_elements + 4 * blocks


def _groups(one: Tensor, packing: Packing) -> int:
    return -(-one.n_in // packing.group) if packing.group else 1


def _awq(one: Tensor, packing: Packing) -> int:
    zeros = 4 * -(-one.n_out * packing.bits // 32) * _groups(one, packing)
    return 4 * -(-one.n_elements * packing.bits // 32) + 2 * one.n_out * _groups(one, packing) + zeros


def _gptq(one: Tensor, packing: Packing) -> int:
    return _awq(one, packing) + 4 * one.n_in
