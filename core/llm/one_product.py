"""One layer's product with real inputs as it truly goes in int8 and in nf4: step by step, and in one call.

int8: the input's rows become codes too, integers are multiplied, the two scales are put back on; columns of the input
that hold a value beyond the threshold are taken out first and multiplied in 16 bit. nf4: the codes are decoded block by
block into 16 bit, and that is multiplied; the stored codes are only read.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from core.comparison.inspected import Forward, Outliers, Step
from core.comparison.values import Repeated
from core.llm.one_layer import FourBit, Int8, bytes_of, figure

REPEATS, WARM_UPS = 5, 2
MOST_COLUMNS, N_EXAMPLES = 24, 6


def in_16_bit(inputs_T_K: Tensor, weights_N_K: Tensor) -> Step:
    """The product that is replaced: every weight is read as it is."""
    _, seconds = _timed(lambda: inputs_T_K @ weights_N_K.T)
    n_out = inputs_T_K.shape[0] * weights_N_K.shape[0] * inputs_T_K.itemsize
    return Step(name="16 bit", reads=weights_N_K.nbytes + inputs_T_K.nbytes, writes=n_out, seconds=seconds)


def in_int8(inputs_T_K: Tensor, packed: Int8, exact_T_N: Tensor, threshold: float) -> tuple[Forward, Outliers]:
    """LLM.int8 with the steps of `MatMul8bitLt`."""
    packing = import_module("bitsandbytes.functional")
    before, n_tokens, n_out = checksum(packed.codes), inputs_T_K.shape[0], packed.codes.shape[0]
    half = inputs_T_K.half()
    (codes, scales, columns), quantize_s = _timed(lambda: packing.int8_vectorwise_quant(half.clone(), threshold))
    sums, multiply_s = _timed(lambda: packing.int8_linear_matmul(codes, packed.codes))
    scaled, rescale_s = _timed(lambda: _rescaled(sums, scales, packed.scales, inputs_T_K.dtype))
    columns = torch.empty(0, dtype=torch.int64) if columns is None else columns
    added, outliers_s = _timed(lambda: _with_outliers(scaled, inputs_T_K, packed, columns))
    whole, whole_s = _timed(lambda: _library_int8(inputs_T_K, packed, threshold))
    of_outliers = len(columns) * (n_out + n_tokens * inputs_T_K.itemsize)
    of_scales = packed.scales.nbytes + scales.nbytes
    steps = (
        Step(name="input", reads=inputs_T_K.nbytes, writes=codes.nbytes + scales.nbytes, seconds=quantize_s),
        Step(name="multiply", reads=codes.nbytes + packed.codes.nbytes, writes=sums.nbytes, seconds=multiply_s),
        Step(
            name="rescale",
            reads=sums.nbytes + of_scales,
            writes=scaled.nbytes,
            seconds=rescale_s,
        ),
        Step(name="outliers", reads=of_outliers + scaled.nbytes, writes=scaled.nbytes, seconds=outliers_s),
    )
    checksums = (before, checksum(packed.codes))
    forward = _forward("int8", steps, whole_s, bytes_of(packed), (added, whole, exact_T_N), checksums)
    without = _relative(_library_int8(inputs_T_K, packed, 0.0), exact_T_N)
    return forward, Outliers(
        threshold=threshold,
        columns=tuple(int(one) for one in columns[:MOST_COLUMNS].tolist()),
        n_columns=len(columns),
        largest=figure(inputs_T_K.abs().max()),
        relative_without=without if isfinite(without) else None,  # float16 ends at 65,504
    )


def in_nf4(inputs_T_K: Tensor, packed: FourBit, exact_T_N: Tensor) -> Forward:
    """4 bit with the steps of `MatMul4Bit`."""
    before = checksum(packed.packed)
    weights_N_K, decode_s = _timed(lambda: packed.decoded)
    product, multiply_s = _timed(lambda: inputs_T_K @ weights_N_K.to(inputs_T_K.dtype).T)
    whole, whole_s = _timed(lambda: _library_4bit(inputs_T_K, packed))
    steps = (
        Step(name="decode", reads=bytes_of(packed), writes=weights_N_K.nbytes, seconds=decode_s),
        Step(name="multiply", reads=weights_N_K.nbytes + inputs_T_K.nbytes, writes=product.nbytes, seconds=multiply_s),
    )
    checksums = (before, checksum(packed.packed))
    return _forward("nf4", steps, whole_s, bytes_of(packed), (product, whole, exact_T_N), checksums)


def checksum(codes: Tensor) -> str:
    """The beginning of the SHA-256 of stored codes."""
    return hashlib.sha256(codes.cpu().contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()[:16]


def _forward(
    precision: str,
    steps: tuple[Step, ...],
    whole_s: Repeated,
    weight_bytes: int,
    results: tuple[Tensor, Tensor, Tensor],
    checksums: tuple[str, str],
) -> Forward:
    stepped, whole, exact = (each.float() for each in results)
    pairs = zip(exact[-1, :N_EXAMPLES].tolist(), whole[-1, :N_EXAMPLES].tolist(), strict=True)
    return Forward(
        precision=precision,
        steps=steps,
        whole=whole_s,
        weight_bytes=weight_bytes,
        relative=_relative(whole, exact),
        differs=figure((stepped - whole).abs().max() / whole.abs().max().clamp(min=1e-12)),
        before=checksums[0],
        after=checksums[1],
        examples=tuple((figure(one), figure(other)) for one, other in pairs),
    )


def _relative(result: Tensor, exact: Tensor) -> float:
    return figure((result.float() - exact.float()).norm() / exact.float().norm().clamp(min=1e-12))


def _rescaled(sums: Tensor, rows: Tensor, columns: Tensor, dtype: torch.dtype) -> Tensor:
    ops: Any = torch.ops.bitsandbytes
    found: Tensor = ops.int8_mm_dequant.default(sums, rows, columns, dtype=dtype, bias=None)
    return found


def _with_outliers(scaled_T_N: Tensor, inputs_T_K: Tensor, packed: Int8, columns: Tensor) -> Tensor:
    if not len(columns):
        return scaled_T_N
    packing = import_module("bitsandbytes.functional")
    weights_N_o = packing.int8_vectorwise_dequant(packed.codes[:, columns].contiguous(), packed.scales)
    return scaled_T_N.addmm(inputs_T_K[:, columns].contiguous(), weights_N_o.to(inputs_T_K.dtype).T)


def _library_int8(inputs_T_K: Tensor, packed: Int8, threshold: float) -> Tensor:
    library = import_module("bitsandbytes")
    state = library.MatmulLtState()
    state.CB, state.SCB, state.threshold = packed.codes, packed.scales, threshold
    state.has_fp16_weights, state.is_training = False, False
    found: Tensor = library.matmul(inputs_T_K, packed.codes, state=state)
    return found


def _library_4bit(inputs_T_K: Tensor, packed: FourBit) -> Tensor:
    found: Tensor = import_module("bitsandbytes").matmul_4bit(inputs_T_K, packed.packed, packed.state)
    return found


def _timed(compute: Callable[[], Any]) -> tuple[Any, Repeated]:
    """What it gives, and the time that it takes once it is warm."""
    for _ in range(WARM_UPS):
        result = compute()
    seconds = []
    for _ in range(REPEATS):
        _wait()
        began_s = time.perf_counter()
        result = compute()
        _wait()
        seconds.append(time.perf_counter() - began_s)
    middle, deviation = statistics.median(seconds), statistics.stdev(seconds)
    return result, Repeated(value=figure(middle), spread=figure(deviation), n=REPEATS)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()  # kernels are queued; without this we would time the launch
