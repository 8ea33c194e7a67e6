"""How many bytes a weight takes in each precision: the layouts in which torch and bitsandbytes keep them.

Source: bitsandbytes 0.50 (`functional.quantize_4bit`, `nn.Int8Params`), compared byte by byte with real tensors.
"""

from __future__ import annotations

from enum import StrEnum

from core.errors import BadInput

BLOCK, BLOCK_OF_SCALES = 64, 256  # weights that share a scale; scales that share one, with double quantization
CODE_BYTES = 64  # sixteen float32 values, a copy in each layer
SECOND_CODE_BYTES, OFFSET_BYTES = 1024, 4


class Precision(StrEnum):
    """How a model's weights are kept."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"
    NF4 = "nf4"
    NF4_DQ = "nf4-dq"
    FP4 = "fp4"
    FP4_DQ = "fp4-dq"

    @property
    def is_quantized(self) -> bool:
        """Whether bitsandbytes packs the linear layers."""
        return self not in (Precision.FLOAT32, Precision.BFLOAT16, Precision.FLOAT16)

    @property
    def element_bytes(self) -> int:
        """Bytes of a weight that is not packed, of an activation and of a cached key."""
        return 4 if self is Precision.FLOAT32 else 2

    @property
    def kept_as(self) -> str:
        """The dtype of all that is not packed."""
        return "bfloat16" if self.is_quantized else str(self)


SHORT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "8bit": "int8", "4bit": "nf4"}


def parse_precision(text: str) -> Precision:
    """A precision by its name or the usual short form.

    Raises:
        BadInput: there is none of that name.
    """
    word = text.strip().lower().replace("_", "-")
    try:
        return Precision(SHORT.get(word, word))
    except ValueError:
        raise BadInput(f"There is no precision {text!r}. There are: {', '.join(Precision)}.") from None


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
