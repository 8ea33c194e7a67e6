"""Rows decoded together: prompts are read on their own, join the running batch, and leave it at any step.

Models whose cache keeps every key share one left-padded batch; others are decoded one row at a time, behind the same
few methods. Which of the two a model gets is found in `core.llm.trial`; which request is in which row, and which token
comes next, is the engine's business.
"""

from __future__ import annotations

import inspect
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.llm.cache import RowCache

PADDING = 0  # any token: it is never looked at
CacheOfRow = TypeVar("CacheOfRow")


class Batch(Protocol[CacheOfRow]):
    """The rows that are decoded together, numbered in the order in which they joined."""

    is_shared: bool
    """Whether prompts may be read in pieces, and several together."""

    @property
    def bytes_per_token(self) -> int:
        """What one token of one row takes in the cache; 0 where that cannot be told."""

    def begin(self) -> CacheOfRow:
        """The cache of prompts that were not read yet."""

    def read(self, cache: CacheOfRow, pieces: list[list[int]]) -> Tensor:
        """Read the next tokens of a cache's prompts; the logits (B, V) of what follows them."""

    def join(self, cache: CacheOfRow) -> None:
        """Take in prompts that were read completely, as the last rows."""

    def keep(self, rows: list[int]) -> None:
        """Let all other rows go."""

    def step(self, token_ids: list[int]) -> Tensor:
        """Give each row its next token; the logits (B, V) of what follows."""


class PaddedBatch:
    """One cache for all rows; the shorter ones are padded on the left."""

    is_shared = True

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        # asked of the signature: forward is decorated, and its code object shows the decorator's arguments
        known = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in known
        self._only_last = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
        self._cache = RowCache()

    @property
    def bytes_per_token(self) -> int:
        """Keys and values of one token of one row."""
        return self._cache.bytes_per_token

    def begin(self) -> RowCache:
        """An empty cache; the first reading decides how many rows it has."""
        return RowCache()

    def read(self, cache: RowCache, pieces: list[list[int]]) -> Tensor:
        """Read the next tokens of each row, of different number only at the beginning; the logits (B, V) after them."""
        before = cache.lengths or [0] * len(pieces)
        cache.lengths = [length + len(piece) for length, piece in zip(before, pieces, strict=True)]
        longest = max(len(piece) for piece in pieces)
        return self._forward(cache, [[PADDING] * (longest - len(piece)) + piece for piece in pieces])

    def join(self, cache: RowCache) -> None:
        """Put the rows of a cache behind the others."""
        if self._cache.lengths:
            self._cache.add(cache)
        else:
            self._cache = cache

    def keep(self, rows: list[int]) -> None:
        """Keep these rows."""
        if rows:
            self._cache.select(rows)
        else:
            self._cache = RowCache()

    def step(self, token_ids: list[int]) -> Tensor:
        """One token more for each row; the logits (B, V) after it."""
        return self.read(self._cache, [[token_id] for token_id in token_ids])

    def _forward(self, cache: RowCache, token_ids: list[list[int]]) -> Tensor:
        device = self._model.device
        ids_B_T = torch.tensor(token_ids, device=device)
        lengths_B_1 = torch.tensor(cache.lengths, device=device)[:, None]
        n_new, n_all = ids_B_T.shape[1], cache.get_seq_length() + ids_B_T.shape[1]
        columns_1_T = torch.arange(n_all, device=device)[None]
        inputs: dict[str, Any] = {"attention_mask": (columns_1_T >= n_all - lengths_B_1).long()}
        if self._takes_positions:
            # counted from each row's own beginning; without them rotary models count the padding too
            inputs["position_ids"] = (lengths_B_1 - n_new + columns_1_T[:, :n_new]).clamp(min=0)
        output = self._model(input_ids=ids_B_T, past_key_values=cache, use_cache=True, **inputs, **self._only_last)
        logits_B_V: Tensor = output.logits[:, -1]
        return logits_B_V


class _OwnCache:
    """What one row carries from step to step in a model with a way of its own."""

    def __init__(self) -> None:
        self.ids_1_T: Tensor | None = None
        self.carried: dict[str, Any] = {"use_cache": True}


class SeparateRows:
    """Each row alone, the way `generate` drives the model: for caches that cannot be joined."""

    is_shared = False
    bytes_per_token = 0  # a state of constant size, or keys in a form of their own

    def __init__(self, model: PreTrainedModel) -> None:
        self._model: Any = model  # its methods for generation are mixed in, which its type does not show
        self._rows: list[_OwnCache] = []

    def begin(self) -> _OwnCache:
        """An empty cache for one prompt."""
        return _OwnCache()

    def read(self, cache: _OwnCache, pieces: list[list[int]]) -> Tensor:
        """Read one whole prompt, or one token more; the logits (1, V) after it."""
        new_1_T = torch.tensor(pieces, device=self._model.device)
        is_first = cache.ids_1_T is None
        cache.ids_1_T = new_1_T if cache.ids_1_T is None else torch.cat([cache.ids_1_T, new_1_T], dim=1)
        if is_first:
            cache.carried["attention_mask"] = torch.ones_like(new_1_T)
        inputs = self._model.prepare_inputs_for_generation(
            cache.ids_1_T,
            next_sequence_length=None if is_first else new_1_T.shape[1],
            is_first_iteration=is_first,
            **cache.carried,
        )
        output = self._model(**inputs, return_dict=True)
        cache.carried = self._model._update_model_kwargs_for_generation(output, cache.carried)
        logits_1_V: Tensor = output.logits[:, -1]
        return logits_1_V

    def join(self, cache: _OwnCache) -> None:
        """Put a row behind the others."""
        self._rows.append(cache)

    def keep(self, rows: list[int]) -> None:
        """Keep these rows."""
        self._rows = [self._rows[row] for row in rows]

    def step(self, token_ids: list[int]) -> Tensor:
        """One token more for each row; the logits (B, V) after it."""
        return torch.cat([self.read(row, [[token_id]]) for row, token_id in zip(self._rows, token_ids, strict=True)])
