"""Keys and values of several rows that end at the same step: padded on the left, joined and left at any time.

Only caches that keep every key fit in here; others are decoded one row at a time (`core.llm.batch`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

ROOM = 128  # further tokens that fit before everything is copied again


class _Roomy:
    """A tensor (B, H, T, D) with room behind T: a step writes one token where `torch.cat` would copy them all."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        """The rows of all parts, aligned at their ends, with zeros where a part is shorter."""
        self._length = max(part.shape[-2] for part in parts)
        # zeros, not whatever lies there: a masked key counts nothing, but nothing times NaN is NaN
        padded = [pad(part, (0, 0, self._length - part.shape[-2], 0)) for part in parts]
        self._room_B_H_T_D = pad(torch.cat(padded), (0, 0, 0, ROOM))

    @property
    def used_B_H_T_D(self) -> Tensor:
        return self._room_B_H_T_D[:, :, : self._length]

    @property
    def bytes_per_token(self) -> int:
        _, n_heads, _, width = self._room_B_H_T_D.shape
        return n_heads * width * self._room_B_H_T_D.element_size()

    def append(self, new_B_H_T_D: Tensor) -> None:
        end = self._length + new_B_H_T_D.shape[-2]
        if end > self._room_B_H_T_D.shape[-2]:
            self._room_B_H_T_D = pad(self.used_B_H_T_D, (0, 0, 0, end - self._length + ROOM))
        self._room_B_H_T_D[:, :, self._length : end] = new_B_H_T_D
        self._length = end


class _RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # the library's __init_subclass__ has no types
    """One layer of a `RowCache`; what the library reads as keys and values are views of the used part."""

    _keys: _Roomy
    _values: _Roomy

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append the new keys and values; all of them so far."""
        if self.is_initialized:
            self._keys.append(key_states)
            self._values.append(value_states)
        else:
            self.lazy_initialization(key_states, value_states)
            self._keys, self._values = _Roomy([key_states]), _Roomy([value_states])
        return self._show()

    def add(self, other: _RoomyLayer) -> None:
        """Take in the rows of another cache's layer."""
        self._keys = _Roomy([self._keys.used_B_H_T_D, other._keys.used_B_H_T_D])
        self._values = _Roomy([self._values.used_B_H_T_D, other._values.used_B_H_T_D])
        self._show()

    def select(self, rows_B: Tensor, n_cut: int) -> None:
        """Keep only these rows, without their first `n_cut` columns."""
        self._keys = _Roomy([self._keys.used_B_H_T_D[rows_B, :, n_cut:]])
        self._values = _Roomy([self._values.used_B_H_T_D[rows_B, :, n_cut:]])
        self._show()

    def _show(self) -> tuple[Tensor, Tensor]:
        self.keys, self.values = self._keys.used_B_H_T_D, self._values.used_B_H_T_D
        return self.keys, self.values


class RowCache(DynamicCache):
    """A cache of rows that others can join. Sliding layers keep all their keys: the mask does the window."""

    def __init__(self) -> None:
        Cache.__init__(self, layer_class_to_replicate=_RoomyLayer)
        self.lengths: list[int] = []
        """How many tokens each row holds; all before them is padding."""

    @property
    def bytes_per_token(self) -> int:
        """Keys and values of one token of one row, over all layers."""
        held = [part for layer in self._filled() for part in (layer._keys, layer._values)]
        return sum(part.bytes_per_token for part in held)

    def add(self, other: RowCache) -> None:
        """Take in the rows of another cache behind the own ones."""
        for own, new in zip(self._filled(), other._filled(), strict=True):
            own.add(new)
        self.lengths = [*self.lengths, *other.lengths]

    def select(self, rows: list[int]) -> None:
        """Keep only these rows, at least one, in this order; padding that all of them share goes too."""
        kept = [self.lengths[row] for row in rows]
        for layer in self._filled():
            layer.select(torch.tensor(rows, device=layer.device), max(self.lengths) - max(kept))
        self.lengths = kept

    def _filled(self) -> list[_RoomyLayer]:
        """The layers with keys of their own; one that uses another's stays empty."""
        return [layer for layer in self.layers if isinstance(layer, _RoomyLayer) and layer.is_initialized]
