"""What quantizing does to one layer, as an `inspect` job found it: all of it computed from the real weights.

Small enough for a row of the store: histograms, a few dozen numbers, one downsampled matrix; 20 to 60 KB as JSON.
"""

from __future__ import annotations

from typing import Literal, get_args

from core.comparison.values import Repeated
from core.values import Value

OfferedSize = Literal[32, 64, 128, 256, 512, 1024, 2048, 4096]
BLOCK_SIZES: tuple[int, ...] = get_args(OfferedSize)  # those that bitsandbytes offers for 4 bit
MOST_FIELDS = 40  # rows and columns of a downsampled matrix
N_BINS = 60


class ModuleKind(Value):
    """One kind of linear layer that can be looked at, and the blocks that have it; `{}` stands for their number."""

    kind: str
    pattern: str
    rows: int
    columns: int
    blocks: tuple[int, ...] = ()


class Histogram(Value):
    """How many values fall into each of equal bins from `low` to `high`, and how many lie beyond."""

    low: float
    high: float
    counts: tuple[int, ...]
    n_beyond: int = 0


class Coded(Value):
    """One real weight on its way into a code and back."""

    column: int
    weight: float
    scaled: float
    """In the units of the codes: weight × 127 / scale for int8, weight / scale for nf4."""
    code: int
    decoded: float


class Scale(Value):
    """One scale, and what it is the largest absolute weight of: a row for int8, a block for nf4."""

    row: int
    column: int
    """Where it begins."""
    length: int
    value: float


class Precise(Value):
    """What a precision does to the whole layer."""

    name: str
    bits: float
    """A weight, its share of the scales counted."""
    relative: float
    most: float
    cosine: float


class BlockSize(Value):
    """The relative error of 4-bit codes by the weights that share a scale."""

    size: int
    bits: float
    nf4: float
    fp4: float


class Neighbours(Value):
    """Weights that share one scale: those with the layer's worst outlier among them, or a typical set."""

    where: Scale
    rms: float
    relative: float
    codes_used: int
    share_zero: float
    """Of the weights, how many become 0."""
    counts: tuple[int, ...]
    """How often each of nf4's 16 codes is used; int8's are put together into 16 ranges."""


class Step(Value):
    """One step of a product, with what it reads and writes, and its time on this device."""

    name: str
    reads: int
    writes: int
    seconds: Repeated


class Forward(Value):
    """The layer's product with the real inputs, step by step, beside the same in one call of the library."""

    precision: str
    steps: tuple[Step, ...]
    whole: Repeated
    """Seconds of the library's own call."""
    weight_bytes: int
    """Of codes and scales."""
    relative: float
    """Error of the result against the exact product, by Frobenius norms."""
    differs: float
    """Largest difference between the steps' result and the library's, over the largest result."""
    before: str
    after: str
    """Checksums of the stored codes."""
    examples: tuple[tuple[float, float], ...] = ()
    """(exact, as computed) of the last token's first outputs."""


class Outliers(Value):
    """The columns of the input that int8 multiplies in 16 bit."""

    threshold: float
    columns: tuple[int, ...]
    """The first of them."""
    n_columns: int
    largest: float
    """Absolute value of the input."""
    relative_without: float | None
    """Error of the result if all columns went through int8; None where that would give no numbers."""


class Running(Value):
    """Flash attention on its way through the keys: what is kept of one row after a block of them."""

    first: int
    last: int
    block_max: float
    running_max: float
    rescale: float
    """What the sum so far is multiplied by, since the largest score has changed."""
    running_sum: float


class Growth(Value):
    """Bytes of one layer's scores at a context length, all heads."""

    context: int
    plain: int
    blocks: int


class Head(Value):
    """One attention head: its whole matrix beside the same in blocks."""

    block: int
    head: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    n_tokens: int
    tokens: tuple[str, ...]
    """The first of each field."""
    matrix: tuple[tuple[float, ...], ...]
    """Attention of each token (rows) to each earlier one; where several share a field, the largest."""
    block_size: int
    """Rows and columns of a block."""
    in_blocks: tuple[tuple[float, ...], ...]
    """The largest attention in each block that is computed."""
    n_blocks: int
    n_skipped: int
    """Blocks above the diagonal, which are never computed."""
    trace: tuple[Running, ...]
    """Of the last token."""
    differs_from_plain: float
    """Largest difference of the outputs, both in float32."""
    differs_from_model: float
    """The same against what the model's own attention gave."""
    model_dtype: str
    growth: tuple[Growth, ...]


class Inspected(Value):
    """All that the page “What quantization does” shows."""

    text: str = ""
    """The headline."""
    model: str = ""
    revision: str | None = None
    module: str = ""
    kind: str = ""
    block: int | None = None
    rows: int = 0
    columns: int = 0
    stored_as: str = ""
    compute_dtype: str = ""
    device: str = ""
    n_tokens: int = 0
    modules: tuple[ModuleKind, ...] = ()
    weights: Histogram | None = None
    deviation: float = 0.0
    """Standard deviation of the weights."""
    largest: float = 0.0
    precisions: tuple[Precise, ...] = ()
    row_scales: tuple[Scale, ...] = ()
    int8: tuple[Coded, ...] = ()
    int8_scale: Scale | None = None
    levels: tuple[float, ...] = ()
    block_scales: tuple[Scale, ...] = ()
    nf4: tuple[Coded, ...] = ()
    nf4_scale: Scale | None = None
    block_size: int = 64
    int8_errors: Histogram | None = None
    nf4_errors: Histogram | None = None
    block_sizes: tuple[BlockSize, ...] = ()
    n_sampled: int = 0
    """Weights that the block sizes were tried on."""
    worst_block: Neighbours | None = None
    typical_block: Neighbours | None = None
    worst_row: Neighbours | None = None
    typical_row: Neighbours | None = None
    exact: Step | None = None
    """The product in 16 bit, to compare with."""
    forward: tuple[Forward, ...] = ()
    outliers: Outliers | None = None
    head: Head | None = None
    head_why_not: str = ""
    notes: tuple[str, ...] = ()
