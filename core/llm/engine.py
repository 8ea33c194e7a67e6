"""The engine seam: submit a request, iterate over its tokens, cancel it. One thread owns the model.

Requests that arrive while others run are decoded together with them. What a batch is and which models share one is in
`core.llm.batch`; nothing outside `core.llm` sees a tensor.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from typing import Any

import torch
from torch import Tensor

from core.errors import ModelBroken
from core.llm.batch import Batch
from core.llm.generation import Chunk, Generation, Request
from core.llm.loading import LoadedModel
from core.llm.memory_error import as_workbench_error
from core.llm.row import Row, pick_tokens
from core.llm.trial import batch_for
from core.prompt import check_context

__all__ = ["Chunk", "Engine", "Generation", "Request"]

# on two cores 128 tokens take a quarter of a second, and larger pieces are not faster by the token
PREFILL_TOKENS_CPU, PREFILL_TOKENS_CARD = 128, 512
MOST_PADDING = 2  # prompts are read together while that computes at most twice their tokens


class Engine:
    """Completes texts with one model, many requests at once."""

    def __init__(self, loaded: LoadedModel, *, max_rows: int = 32, prefill_tokens: int | None = None) -> None:
        """
        Args:
            loaded: the model; from now on nobody else may use it.
            max_rows: how many requests are worked on at once; further ones wait their turn.
            prefill_tokens: how many tokens of prompts are read between two steps of the running requests.
        """
        self.loaded = loaded
        on_card = loaded.device.startswith("cuda")
        self._prefill_tokens = prefill_tokens or (PREFILL_TOKENS_CARD if on_card else PREFILL_TOKENS_CPU)
        self._max_rows = max_rows
        embeddings: Any = loaded.model.get_input_embeddings()
        self._n_embeddings = int(embeddings.weight.shape[0])
        with torch.inference_mode():
            self._batch: Batch[Any] = batch_for(loaded.model)
        self._open: list[Generation] = []
        self._arrived: deque[tuple[Request, Generation]] = deque()
        self._reading: deque[Row] = deque()
        self._running: list[Row] = []
        self._wake = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"engine {loaded.source.name}", daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being worked on or waits."""
        return any(not generation.has_ended for generation in self._open)

    def submit(self, request: Request) -> Generation:
        """Begin a completion.

        Raises:
            ContextExceeded: the prompt fills the model's context.
            ModelBroken: the tokenizer makes tokens that the model does not know.
            RuntimeError: the engine is closed.
        """
        self._check(request)
        generation = Generation(request)
        with self._wake:
            if self._is_closed:
                raise RuntimeError("the engine is closed")
            self._arrived.append((request, generation))
            self._open = [each for each in self._open if not each.has_ended] + [generation]
            self._wake.notify()
        return generation

    def close(self) -> None:
        """End the thread after the step it is in. What still runs ends as cancelled."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        self._thread.join()

    def _check(self, request: Request) -> None:
        if not request.token_ids:
            raise ValueError("a request needs at least one token")
        check_context(len(request.token_ids), self.loaded.context_length)
        if max(request.token_ids) >= self._n_embeddings:
            # on a card this would not raise but ruin the whole process
            raise ModelBroken(f"The tokenizer of {self.loaded.source.name} makes tokens that the model does not know.")

    @torch.inference_mode()
    def _run(self) -> None:
        try:
            while self._has_work():
                try:
                    self._turn()
                except Exception as error:
                    self._fail_running(error)
        finally:
            self._end_all()

    def _has_work(self) -> bool:
        """Wait for something to do; False when the engine was closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._is_closed or self._arrived or self._reading or self._running)
            return not self._is_closed

    def _turn(self) -> None:
        """Read a piece of the prompts that wait, then give each running request one token."""
        self._drop_cancelled()
        self._admit()
        self._read_prompts()
        if self._running:
            logits_B_V = self._batch.step([row.last_token for row in self._running])
            token_ids = pick_tokens(self._running, logits_B_V)
            self._keep([row.accept(token_id) for row, token_id in zip(self._running, token_ids, strict=True)])

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

    def _admit(self) -> None:
        """Begin with what has arrived, as far as there is room; what was cancelled meanwhile never begins."""
        with self._wake:
            for entry in [entry for entry in self._arrived if entry[1].is_cancelled]:
                self._arrived.remove(entry)
                entry[1].end("cancelled")
            n_free = self._max_rows - len(self._reading) - len(self._running)
            entries = [self._arrived.popleft() for _ in range(min(n_free, len(self._arrived)))]
        self._reading.extend(Row(self.loaded, *entry) for entry in entries)

    def _read_prompts(self) -> None:
        """Read up to the budget: short prompts whole and together, long ones piece by piece, in turns."""
        budget = self._prefill_tokens
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
        n_tokens = self._prefill_tokens if self._batch.is_shared else self.loaded.context_length
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
        damaged = ModelBroken(f"{self.loaded.source.name} computes no numbers: its weights are damaged.")
        self._fail(row.generation, damaged)
        return False

    def _fail_running(self, error: Exception) -> None:
        """The shared cache is in no known state: all that are in it end, those that have not joined it go on."""
        sound = {row.generation for row in self._reading} | {generation for _, generation in list(self._arrived)}
        for generation in self._open:
            if generation not in sound and not generation.has_ended:
                self._fail(generation, error)
        self._running = []
        self._batch.keep([])

    def _fail(self, generation: Generation, error: Exception) -> None:
        generation.fail(as_workbench_error(error))
        traceback.clear_frames(error.__traceback__)  # its frames hold caches; whoever keeps the error would keep those
        if self.loaded.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _end_all(self) -> None:
        with self._wake:
            self._is_closed = True
        for generation in self._open:
            if not generation.has_ended:
                generation.end("cancelled")
        self._arrived.clear()
        self._reading.clear()
        self._running = []
        self._batch.keep([])
