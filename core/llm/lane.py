"""Requests that are decoded together: with one model, and with one adapter on it or none.

A lane reads the prompts that wait a piece at a time, lets them join its running batch, and gives each running request
one token a turn. Which lanes there are, and when each has its turn, is the engine's business.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from core.errors import ModelBroken
from core.llm.batch import Batch
from core.llm.generation import Generation
from core.llm.loading import LoadedModel
from core.llm.memory_error import as_workbench_error
from core.llm.row import Row, pick_tokens

MOST_PADDING = 2  # prompts are read together while that computes at most twice their tokens


class Lane:
    """The rows of one batch, and the prompts on their way into it.

    Args:
        begin: makes an empty batch that is right for the model.
        prefill_tokens: how many tokens of prompts are read in one piece.
    """

    def __init__(self, loaded: LoadedModel, begin: Callable[[], Batch[Any]], prefill_tokens: int) -> None:
        self._loaded = loaded
        self._batch = begin()
        self._prefill_tokens = prefill_tokens
        self._reading: deque[Row] = deque()
        self._running: list[Row] = []

    @property
    def n_rows(self) -> int:
        """Requests that it works on."""
        return len(self._reading) + len(self._running)

    @property
    def generations(self) -> list[Generation]:
        """What it works on."""
        return [row.generation for row in (*self._reading, *self._running)]

    def take(self, rows: list[Row]) -> None:
        """Begin with further requests."""
        self._reading.extend(rows)

    def turn(self, budget: int) -> None:
        """Read up to `budget` tokens of the prompts that wait, then give each running request one token."""
        self._drop_cancelled()
        self._read_prompts(budget)
        if self._running:
            logits_B_V = self._batch.step([row.last_token for row in self._running])
            token_ids = pick_tokens(self._running, logits_B_V)
            self._keep([row.accept(token_id) for row, token_id in zip(self._running, token_ids, strict=True)])

    def fail_running(self, error: Exception) -> None:
        """The shared cache is in no known state: all that are in it end, those that have not joined it go on."""
        for row in self._running:
            if not row.generation.has_ended:
                self._fail(row.generation, error)
        self._running = []
        self._batch.keep([])

    def fail(self, error: Exception) -> None:
        """End all that it works on."""
        for row in self._reading:
            self._fail(row.generation, error)
        self._reading.clear()
        self.fail_running(error)

    def clear(self) -> None:
        """Let everything go."""
        self._reading.clear()
        self._running = []
        self._batch.keep([])

    def _drop_cancelled(self) -> None:
        cancelled = [row for row in (*self._running, *self._reading) if row.generation.is_cancelled]
        for row in cancelled:
            row.cancel()
        if cancelled:
            self._reading = deque(row for row in self._reading if row not in cancelled)
            self._keep([row not in cancelled for row in self._running])

    def _keep(self, goes_on: list[bool]) -> None:
        if not all(goes_on):
            kept = [index for index, stays in enumerate(goes_on) if stays]
            self._batch.keep(kept)
            self._running = [self._running[index] for index in kept]

    def _read_prompts(self, budget: int) -> None:
        """Read up to the budget: short prompts whole and together, long ones piece by piece, in turns."""
        while group := self._next_to_read(budget):
            budget -= len(group) * max(min(row.n_unread, self._prefill_tokens) for row in group)
            self._read(group)

    def _next_to_read(self, budget: int) -> list[Row]:
        """Take the first prompt that waits, and those behind it that fit beside it with little padding."""
        group: list[Row] = []
        while self._reading and self._fits([*group, self._reading[0]], budget):
            group.append(self._reading.popleft())
        return group

    def _fits(self, group: list[Row], budget: int) -> bool:
        sizes = [min(row.n_unread, self._prefill_tokens) for row in group]
        n_padded = len(group) * max(sizes)
        if n_padded > budget:
            return False
        is_whole = all(row.cache is None and row.n_unread <= self._prefill_tokens for row in group)
        return len(group) == 1 or (self._batch.is_shared and is_whole and n_padded <= MOST_PADDING * sum(sizes))

    def _read(self, group: list[Row]) -> None:
        n_tokens = self._prefill_tokens if self._batch.is_shared else self._loaded.context_length
        pieces = [row.unread[:n_tokens] for row in group]
        cache = self._batch.begin() if group[0].cache is None else group[0].cache
        try:
            logits_B_V = self._batch.read(cache, pieces)
        except Exception as error:  # the cache is theirs alone, so the others are sound
            self._read_again_alone(group, error)
            return
        for row, piece in zip(group, pieces, strict=True):
            row.unread = row.unread[len(piece) :]
        if group[0].unread:  # a long prompt, alone in its group
            group[0].cache = cache
            self._reading.append(group[0])
        else:
            self._join(group, cache, logits_B_V)

    def _read_again_alone(self, group: list[Row], error: Exception) -> None:
        """What failed together may fit alone; and an error hurts only the one whose prompt it is."""
        if len(group) == 1:
            self._fail(group[0].generation, error)
            return
        for row in group:
            self._read([row])

    def _join(self, group: list[Row], cache: Any, logits_B_V: Tensor) -> None:
        """Let prompts that were read join the running requests, and make their first tokens."""
        n_before = len(self._running)
        self._running += group  # before they join: should that fail half-way, all of them end with it
        self._batch.join(cache)
        for row in group:
            row.generation.cache_bytes_per_token = self._batch.bytes_per_token
        are_numbers = (~logits_B_V.isnan().any(-1)).tolist()
        token_ids = pick_tokens(group, logits_B_V)
        goes_on = [self._begin(*each) for each in zip(group, token_ids, are_numbers, strict=True)]
        self._keep([True] * n_before + goes_on)
        for row in self._running:
            row.generation.shared_with = max(row.generation.shared_with, len(self._running) - 1)

    def _begin(self, row: Row, token_id: int, is_number: bool) -> bool:
        row.cache = None
        if is_number:
            return row.accept(token_id)
        damaged = ModelBroken(f"{self._loaded.source.name} computes no numbers: its weights are damaged.")
        self._fail(row.generation, damaged)
        return False

    def _fail(self, generation: Generation, error: Exception) -> None:
        generation.fail(as_workbench_error(error))
        traceback.clear_frames(error.__traceback__)  # its frames hold caches; whoever keeps the error would keep those
        if self._loaded.device.startswith("cuda"):
            torch.cuda.empty_cache()
