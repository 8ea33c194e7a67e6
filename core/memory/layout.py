"""How many bytes a weight takes in each precision: the layouts in which torch and bitsandbytes keep them.

Source: bitsandbytes 0.50 (`functional.quantize_4bit`, `nn.Int8Params`), compared byte by byte with real tensors.
"""

from __future__ import annotations

from core.precision import Precision

BLOCK, BLOCK_OF_SCALES = 64, 256  # weights that share a scale; scales that share one, with double quantization
CODE_BYTES = 64  # sixteen float32 values, a copy in each layer
SECOND_CODE_BYTES, OFFSET_BYTES = 1024, 4


def packed_bytes(precision: Precision, n: int, n_out: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(weights, state) of one packed linear of `n` weights: the bytes of each tensor that is kept.

    int8 keeps a float32 scale for each output row; the 4-bit types one for each 64 weights, and the table of the
    sixteen values; double quantization packs those scales to a byte each, with a float32 scale for each 256 of them.
    """
    if precision is Precision.INT8:
        return (n,), (4 * n_out,)
    blocks = _ceil(n, BLOCK)
    if precision in (Precision.NF4, Precision.FP4):
        return (_ceil(n, 2),), (4 * blocks, CODE_BYTES)
    second = 4 * _ceil(blocks, BLOCK_OF_SCALES)
    return (_ceil(n, 2),), (blocks, CODE_BYTES, second, SECOND_CODE_BYTES, OFFSET_BYTES)


def allocated_bytes(n_bytes: int) -> int:
    """What the CUDA caching allocator takes for one fresh tensor, as it is set by default.

    Tensors are rounded to 512 bytes; from 10 MB on a segment is a multiple of 2 MB, and a rest of up to 1 MB stays with
    the tensor. Source: c10/cuda/CUDACachingAllocator (kMinLargeAlloc, kRoundLarge, should_split).
    """
    if n_bytes == 0:
        return 0
    megabyte = 1 << 20
    rounded = max(512, _ceil(n_bytes, 512) * 512)
    if rounded < 10 * megabyte:
        return rounded
    segment = _ceil(rounded, 2 * megabyte) * 2 * megabyte
    return rounded if segment - rounded > megabyte else segment


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
