"""One layer's weights as int8 and as 4 bit, by the library's own functions: scales, codes, errors, outliers."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from importlib import import_module
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from core.comparison.inspected import (
    BLOCK_SIZES,
    N_BINS,
    BlockSize,
    Coded,
    Histogram,
    Neighbours,
    Precise,
    Scale,
)
from core.llm.layers import difference

INT8_LEVELS = 127
N_CODES = 16
N_SHOWN = 8  # weights that are encoded step by step
N_SCALES = 4
WIDE = 6.0  # standard deviations that a histogram of weights shows
SAMPLE_WEIGHTS = 2**22  # that the block sizes are tried on: all eight on a whole large layer would take minutes


@dataclass(frozen=True)
class Int8:
    """A matrix as int8: a scale a row, and a code a weight."""

    codes: Tensor
    scales: Tensor

    @property
    def decoded(self) -> Tensor:
        """(rows, columns): what the codes stand for."""
        found: Tensor = _packing().int8_vectorwise_dequant(self.codes, self.scales)
        return found


@dataclass(frozen=True)
class FourBit:
    """A matrix as 4 bit: `packed` holds two codes a byte, the state a scale a block."""

    packed: Tensor
    state: Any

    @property
    def decoded(self) -> Tensor:
        """(rows, columns): what the codes stand for, in the dtype that was packed."""
        state = copy(self.state)
        state.shape = torch.Size((1, self.state.shape.numel()))  # with AVX-512 blocks longer than a row decode wrongly
        found: Tensor = _packing().dequantize_4bit(self.packed, state)
        return found.reshape(self.state.shape)

    @property
    def codes(self) -> Tensor:
        """One code for each weight, row after row."""
        flat = self.packed.reshape(-1).view(torch.uint8)
        return torch.stack([flat >> 4, flat & 0xF], dim=1).reshape(-1)[: self.state.shape.numel()]

    @property
    def weight_bytes(self) -> int:
        """Of codes and scales."""
        return int(self.packed.nbytes + self.state.absmax.nbytes)


def as_int8(weights_N_K: Tensor) -> Int8:
    """Pack as `Linear8bitLt` does when its weights arrive."""
    codes, scales, _ = _packing().int8_vectorwise_quant(weights_N_K.half().contiguous())
    return Int8(codes, scales)


def as_4bit(weights_N_K: Tensor, kind: str = "nf4", block_size: int = 64, *, is_double: bool = False) -> FourBit:
    """Pack as `Linear4bit` does when its weights arrive."""
    given = {"blocksize": block_size, "quant_type": kind, "compress_statistics": is_double}
    return FourBit(*_packing().quantize_4bit(weights_N_K.contiguous(), **given))


def spread(values: Tensor, edge: float) -> Histogram:
    """The histogram of values from -edge to edge."""
    edge = edge or 1.0
    flat = values.float().flatten()
    counts = torch.histc(flat, N_BINS, -edge, edge)
    return Histogram(
        low=figure(-edge),
        high=figure(edge),
        counts=tuple(int(n) for n in counts.tolist()),
        n_beyond=int((flat.abs() > edge).sum()),
    )


def spread_of_weights(weights_N_K: Tensor) -> Histogram:
    """The histogram of a layer's weights, without the few that lie far off."""
    edge = min(WIDE * float(weights_N_K.float().std()), float(weights_N_K.abs().max()))
    return spread(weights_N_K, edge)


def spread_of_errors(original_N_K: Tensor, decoded: Tensor) -> Histogram:
    """The histogram of what was lost, without the largest of a thousand."""
    errors = original_N_K.float().to(decoded.device) - decoded.float()
    few = errors.flatten()[:: max(errors.numel() // 100_000, 1)].abs()
    return spread(errors, float(few.quantile(0.999)))


def precise(weights_N_K: Tensor, packed: dict[str, Int8 | FourBit]) -> tuple[Precise, ...]:
    """What each precision does to the layer."""
    found = []
    for name, one in packed.items():
        lost = difference(weights_N_K, one.decoded)
        n_bits = 8 * bytes_of(one) / weights_N_K.numel()
        found.append(
            Precise(
                name=name,
                bits=figure(n_bits),
                relative=figure(lost.relative),
                most=figure(lost.most),
                cosine=round(lost.cosine, 8),
            )
        )
    return tuple(found)


def bytes_of(one: Int8 | FourBit) -> int:
    """Of codes and scales; for double quantization, of the scales' own codes and scales."""
    if isinstance(one, Int8):
        return int(one.codes.nbytes + one.scales.nbytes)
    second = one.state.state2
    return one.weight_bytes + (int(second.absmax.nbytes + second.code.nbytes) + 4 if second else 0)


def block_sizes(weights_N_K: Tensor) -> tuple[tuple[BlockSize, ...], int]:
    """The error by the size of a block, and on how many weights that was found out."""
    rows = max(min(SAMPLE_WEIGHTS // weights_N_K.shape[1], weights_N_K.shape[0]), 1)
    sample = weights_N_K[:: max(weights_N_K.shape[0] // rows, 1)][:rows].contiguous()
    found = [
        BlockSize(
            size=size,
            bits=figure(4 + 32 / size),
            nf4=figure(difference(sample, as_4bit(sample, "nf4", size).decoded).relative),
            fp4=figure(difference(sample, as_4bit(sample, "fp4", size).decoded).relative),
        )
        for size in BLOCK_SIZES
        if size <= sample.numel()
    ]
    return tuple(found), sample.numel()


class Rows:
    """int8's sets of weights that share a scale: the rows."""

    def __init__(self, weights_N_K: Tensor, packed: Int8) -> None:
        self.weights = weights_N_K.float()
        self.decoded = packed.decoded.float()
        self.codes = packed.codes
        self.scales = packed.scales

    def scale(self, index: int) -> Scale:
        """The scale of a row."""
        return Scale(row=index, column=0, length=self.weights.shape[1], value=figure(self.scales[index]))

    def counts(self, codes: Tensor) -> tuple[int, ...]:
        """How often each sixteenth of the codes is used."""
        found = torch.histc(codes.float(), N_CODES, -INT8_LEVELS - 1, INT8_LEVELS + 1)
        return tuple(int(n) for n in found.tolist())


class Blocks:
    """nf4's sets of weights that share a scale: runs of the matrix, read row after row."""

    def __init__(self, weights_N_K: Tensor, packed: FourBit) -> None:
        self.size = packed.state.blocksize
        self.n_columns = weights_N_K.shape[1]
        n = weights_N_K.numel() // self.size  # a last one that is not full is left out
        self.weights = weights_N_K.float().flatten()[: n * self.size].view(n, self.size)
        self.decoded = packed.decoded.float().flatten()[: n * self.size].view(n, self.size)
        self.codes = packed.codes[: n * self.size].view(n, self.size)
        self.scales = packed.state.absmax.float()[:n]

    def scale(self, index: int) -> Scale:
        """The scale of a block."""
        row, column = divmod(index * self.size, self.n_columns)
        return Scale(row=row, column=column, length=self.size, value=figure(self.scales[index]))

    def counts(self, codes: Tensor) -> tuple[int, ...]:
        """How often each code is used."""
        return tuple(int(n) for n in torch.bincount(codes.long(), minlength=N_CODES).tolist())


def typical(sets: Rows | Blocks) -> int:
    """The set whose scale is the middle one."""
    return int(sets.scales.argsort()[len(sets.scales) // 2])


def worst(sets: Rows | Blocks) -> int:
    """The set whose largest weight lies furthest above the others of it."""
    size = sets.weights.shape[1]
    others = (sets.weights.square().sum(1) - sets.scales.float().square()).clamp(min=0) / max(size - 1, 1)
    return int((sets.scales / others.sqrt().clamp(min=1e-12)).argmax())


def neighbours(sets: Rows | Blocks, index: int) -> Neighbours:
    """What sharing one scale does to these weights."""
    weights, decoded, codes = sets.weights[index], sets.decoded[index], sets.codes[index]
    norm = float(weights.norm())
    return Neighbours(
        where=sets.scale(index),
        rms=figure(norm / sqrt(len(weights))),
        relative=figure(float((weights - decoded).norm()) / norm if norm else 0.0),
        codes_used=sum(n > 0 for n in torch.bincount(codes.long() + 128).tolist()),
        share_zero=figure(float((decoded == 0).float().mean())),
        counts=sets.counts(codes),
    )


def some_scales(sets: Rows | Blocks) -> tuple[Scale, ...]:
    """The smallest scale, the largest, and some between."""
    order = sets.scales.argsort()
    picks = torch.linspace(0, len(order) - 1, min(N_SCALES, len(order))).long()
    return tuple(sets.scale(int(index)) for index in order.cpu()[picks])


def shown_columns(weights_N_K: Tensor, where: Scale) -> list[int]:
    """Columns of a few weights of a set: its largest one, and those that it begins with."""
    row = weights_N_K[where.row, where.column : where.column + where.length].float().abs()
    largest = int(row.argmax())
    rest = [index for index in range(len(row)) if index != largest]
    return [where.column + index for index in [largest, *rest[: N_SHOWN - 1]]]


def coded_int8(weights_N_K: Tensor, packed: Int8, row: int, columns: list[int]) -> tuple[Coded, ...]:
    """A few weights of a row on their way."""
    scale, decoded = float(packed.scales[row]), packed.decoded
    return tuple(
        Coded(
            column=column,
            weight=figure(weights_N_K[row, column]),
            scaled=figure(float(weights_N_K[row, column]) * INT8_LEVELS / scale if scale else 0.0),
            code=int(packed.codes[row, column]),
            decoded=figure(decoded[row, column]),
        )
        for column in columns
    )


def coded_4bit(weights_N_K: Tensor, packed: FourBit, where: Scale, columns: list[int]) -> tuple[Coded, ...]:
    """A few weights of a block on their way."""
    codes, decoded, n_columns = packed.codes, packed.decoded, weights_N_K.shape[1]
    return tuple(
        Coded(
            column=column,
            weight=figure(weights_N_K[where.row, column]),
            scaled=figure(float(weights_N_K[where.row, column]) / where.value if where.value else 0.0),
            code=int(codes[where.row * n_columns + column]),
            decoded=figure(decoded[where.row, column]),
        )
        for column in columns
    )


def levels(packed: FourBit) -> tuple[float, ...]:
    """What each code stands for, before it is multiplied by the block's scale."""
    return tuple(figure(level) for level in packed.state.code.tolist())


def figure(value: Any) -> float:
    """A number to six digits: what a row of the store needs no more of."""
    return float(f"{float(value):.6g}")


def _packing() -> Any:
    return import_module("bitsandbytes.functional")
