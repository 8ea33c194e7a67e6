"""What quantizing did to the weights themselves: for each packed layer of a loaded model, W against Q(W).

Q(W) is decoded from the codes that lie in memory, W is read from the model's files. One layer at a time is unpacked.
Relative errors of normally distributed weights, to compare with: int8 0.0083, nf4 0.092, fp4 0.122. A layer far above
has outliers. int8 loses at the activations too, so its weights alone flatter it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.comparison.values import LayerError
from core.llm.codes import block_of, decoded, kinds_of, packed_layers
from core.llm.loading import LoadedModel
from core.llm.originals import Originals
from core.precision import Precision

CHUNK_WEIGHTS = 2**22  # compared in float64, of which a whole layer would take eight bytes a weight


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two matrices are apart, as `LayerError` says it."""

    relative: float
    most: float
    cosine: float


def measure_layers(loaded: LoadedModel, ids_1_T: Tensor | None, threshold: float) -> tuple[LayerError, ...]:
    """The error of each packed layer, in the model's order; empty for a precision that packs nothing.

    What the files hold no counterpart of is left out: `without_original` names it.

    Args:
        ids_1_T: (1, T) token ids, for int8's outlier columns; None: they are not counted. What is longer than the
            model's context is cut.
        threshold: from this absolute value on, an input's whole column is multiplied in 16 bit.

    Raises:
        ModelBroken: the files have been damaged since they were loaded.
    """
    if not loaded.precision.is_quantized:
        return ()
    layers = dict(packed_layers(loaded.model))
    is_counted = loaded.precision is Precision.INT8 and ids_1_T is not None
    columns = _outlier_columns(loaded, layers, ids_1_T, threshold) if is_counted else {}
    originals, kinds = Originals(loaded.model, loaded.source), kinds_of(list(layers))
    return tuple(
        LayerError(
            layer=block_of(name),
            module=kinds[name],
            rows=original_N_K.shape[0],
            columns=original_N_K.shape[1],
            relative=found.relative,
            most=found.most,
            cosine=found.cosine,
            outlier_columns=columns.get(name),
        )
        for name, original_N_K, found in _differences(layers, originals)
    )


def without_original(loaded: LoadedModel) -> tuple[str, ...]:
    """The packed layers whose weights the files do not hold as they were: they cannot be compared."""
    originals = Originals(loaded.model, loaded.source)
    return tuple(name for name, _ in packed_layers(loaded.model) if originals.read(name) is None)


def difference(original_N_K: Tensor, changed_N_K: Tensor) -> Difference:
    """How far `changed` (rows, columns) is from `original`, on the device of `changed`."""
    n_rows = max(CHUNK_WEIGHTS // max(original_N_K.shape[1], 1), 1)
    rows = [slice(first, first + n_rows) for first in range(0, original_N_K.shape[0], n_rows)]
    sums = torch.stack([_sums(original_N_K[each], changed_N_K[each]) for each in rows])
    error, norm, changed_norm, product = sums[:, :4].sum(0).tolist()
    lengths = (norm * changed_norm) ** 0.5
    return Difference(
        relative=(error / norm) ** 0.5 if norm else 0.0,
        most=float(sums[:, 4].max()),
        cosine=product / lengths if lengths else float(norm == changed_norm),
    )


def _sums(original_n_K: Tensor, changed_n_K: Tensor) -> Tensor:
    """Squares of the error, of both, and their product, all summed; and the largest error."""
    one, other = original_n_K.to(changed_n_K.device, torch.float64), changed_n_K.to(torch.float64)
    error = one - other
    return torch.stack(
        [error.square().sum(), one.square().sum(), other.square().sum(), (one * other).sum(), error.abs().max()]
    )


def _differences(layers: Mapping[str, Any], originals: Originals) -> Iterator[tuple[str, Tensor, Difference]]:
    for name, layer in layers.items():
        if (original_N_K := originals.read(name)) is not None:
            yield name, original_N_K, difference(original_N_K, decoded(layer))


@torch.inference_mode()
def _outlier_columns(loaded: LoadedModel, layers: Mapping[str, Any], ids_1_T: Any, threshold: float) -> dict[str, int]:
    """Per layer, how many columns of its input hold a value beyond the threshold, over one pass."""
    found: dict[str, Tensor] = {}

    def watch(name: str) -> Any:
        def hook(_: Any, inputs: tuple[Tensor, ...]) -> None:
            # the library casts to float16 before it looks
            exceeds_K = (inputs[0].flatten(0, -2).half().abs() >= threshold).any(0)
            found[name] = exceeds_K | found[name] if name in found else exceeds_K

        return hook

    if threshold <= 0:  # nothing is kept apart then
        return dict.fromkeys(layers, 0)
    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_pre_hook(watch(name)).remove)
        base: Any = loaded.model.base_model
        base(input_ids=ids_1_T[:, : loaded.context_length].to(loaded.model.device), use_cache=False)
    return {name: int(exceeds_K.sum()) for name, exceeds_K in found.items()}
