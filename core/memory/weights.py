"""The bytes of a model's weights in each precision, by what a quantizer does with each kind of tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from core.memory.formula import Part, number, part, plural, size
from core.memory.layout import BLOCK, allocated_bytes, packed_bytes
from core.memory.shapes import Table
from core.memory.tensors import Kind
from core.precision import Precision

LAYOUT = "the storage layout of bitsandbytes 0.50, compared byte by byte with real tensors"
IN_WORDS = {
    Kind.EMBEDDING: "embeddings and head",
    Kind.FUSED_EXPERT: "fused experts",
    Kind.LINEAR_SUBCLASS: "linear layers of a class of their own",
    Kind.NORM: "norms",
    Kind.CONV: "convolutions",
    Kind.OTHER: "biases and the like",
}


def weights_bytes(table: Table, precision: Precision) -> int:
    """What all weights take, with the state that a quantizer keeps beside them."""
    return sum(one.n_bytes for one in weight_parts(table, precision))


def weight_parts(table: Table, precision: Precision) -> tuple[Part, ...]:
    """The weights, split by what happened to them."""
    if not precision.is_quantized:
        return (_dense(table, "weights", table.parameters, precision, ""),)
    return tuple(one for one in _packed(table, precision) if one.n_bytes)


def _dense(table: Table, name: str, n: int, precision: Precision, of: str) -> Part:
    each = precision.element_bytes
    return part(name, n * each, f"{number(n)}{of} × {each} bytes", table.source)


def _packed(table: Table, precision: Precision) -> Iterator[Part]:
    shapes = table.linear_shapes
    n, packed, state = sum(n * times for (n, _), times in shapes.items()), 0, 0
    for (size_of_one, n_out), times in shapes.items():
        weights, beside = packed_bytes(precision, size_of_one, n_out)
        packed, state = packed + times * sum(weights), state + times * sum(beside)
    in_linears = f"{number(n)} in {plural(sum(shapes.values()), 'linear layer')}"
    each = "1 byte" if precision is Precision.INT8 else "½ byte"
    yield part(f"weights in {precision}", packed, f"{in_linears} × {each}", table.source)
    yield part("quantization state", state, _state_words(table, precision, n), LAYOUT)
    for kind in IN_WORDS:
        if left := table.count(kind):
            yield _dense(table, f"{IN_WORDS[kind]} in {precision.kept_as}", left, precision, f" {IN_WORDS[kind]}")


def _state_words(table: Table, precision: Precision, n: int) -> str:
    if precision is Precision.INT8:
        rows = sum(n_out * times for (_, n_out), times in table.linear_shapes.items())
        return f"a float32 scale for each of {number(rows)} output rows"
    scales = f"{number(n)} / {BLOCK}"
    if precision in (Precision.NF4, Precision.FP4):
        return f"{scales} float32 scales, and a table of 64 bytes a layer"
    return f"{scales} scales of 1 byte, a float32 for each 256 of them, and tables of 1,092 bytes a layer"


def allocated_weights_bytes(table: Table, precision: Precision) -> int:
    """The most that the CUDA allocator takes for the weights, tensor by tensor, in its default setting.

    What is measured lies between this and `weights_bytes`.
    """
    is_packed = precision.is_quantized
    dense = Counter(one.n_elements for one in table.tensors if not (is_packed and one.kind is Kind.LINEAR))
    total = sum(times * allocated_bytes(n * precision.element_bytes) for n, times in dense.items())
    if is_packed:
        for (n, n_out), times in table.linear_shapes.items():
            weights, state = packed_bytes(precision, n, n_out)
            total += times * sum(map(allocated_bytes, weights + state))
    return total


def rule_of_thumb(table: Table, precision: Precision) -> Part:
    """The folklore beside the exact figure: 4 GB a billion parameters in float32, 2 in 16 bit, 1 and ½ below."""
    bits = {Precision.FLOAT32: 32, Precision.BFLOAT16: 16, Precision.FLOAT16: 16, Precision.INT8: 8}.get(precision, 4)
    n_bytes = table.parameters * bits // 8
    words = f"{number(table.parameters)} × {bits / 8:g} GB a billion = {size(n_bytes)}"
    return Part("rule of thumb", n_bytes, words, "folklore: it forgets what a quantizer leaves as it is")
