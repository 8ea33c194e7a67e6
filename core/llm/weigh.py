"""What a loaded model holds, counted tensor by tensor: parameters, weights, and the state that a quantizer keeps.

`get_memory_footprint()` of transformers leaves the quantizer's state out and is no measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Weight:
    """Counted: `parameters` as they were before anything was packed, bytes as they lie in memory now."""

    parameters: int
    weights_bytes: int
    state_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.state_bytes


def weigh(model: nn.Module) -> Weight:
    """Count a model; tied weights count once."""
    parameters = list(model.parameters())  # lists each tied one once
    own = {each.data_ptr(): each.nbytes for each in (*parameters, *_kept_buffers(model))}
    state = {each.data_ptr(): each.nbytes for module in model.modules() for each in _state(module)}
    return Weight(
        parameters=sum(_count(each) for each in parameters),
        weights_bytes=sum(own.values()),
        state_bytes=sum(n_bytes for pointer, n_bytes in state.items() if pointer not in own),
    )


def _kept_buffers(model: nn.Module) -> Iterator[Tensor]:
    """Those that belong to the model's files; tables that its code computes are no weights."""
    for module in model.modules():
        passing = module._non_persistent_buffers_set
        yield from (each for name, each in module.named_buffers(recurse=False) if name not in passing)


def _count(parameter: Any) -> int:
    """Four-bit weights lie two to a byte; their own state knows the shape that they had."""
    packed = getattr(parameter, "quant_state", None)
    return int(packed.shape.numel()) if packed is not None else int(parameter.numel())


def _state(module: nn.Module) -> Iterator[Tensor]:
    """The tensors of bitsandbytes that are neither parameters nor buffers."""
    for parameter in module.parameters(recurse=False):
        if isinstance(scales := getattr(parameter, "SCB", None), Tensor):
            yield scales
        yield from _of_4bit(getattr(parameter, "quant_state", None))
    if isinstance(scales := getattr(getattr(module, "state", None), "SCB", None), Tensor):
        yield scales


def _of_4bit(state: Any) -> Iterator[Tensor]:
    if state is None:
        return
    for each in (state.absmax, state.code, state.offset):
        if isinstance(each, Tensor):
            yield each
    yield from _of_4bit(state.state2)
