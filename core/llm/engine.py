"""The engine seam: submit a request, iterate over its tokens, cancel it. One thread owns the model.

Requests that arrive while others run are decoded together with them (`core.llm.lane`); those with another adapter have
a lane of their own beside it, over the same weights. Nothing outside `core.llm` sees a tensor.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import torch
from transformers import PreTrainedModel

from core.llm.adapters import Adapters
from core.llm.encode import check_tokens
from core.llm.generation import Chunk, Generation, Request
from core.llm.lane import Lane
from core.llm.loading import LoadedModel
from core.llm.memory_error import as_workbench_error
from core.llm.row import Row
from core.llm.trial import kind_of_batch
from core.prompt import check_context

__all__ = ["Chunk", "Engine", "Generation", "Request"]

# on two cores 128 tokens take a quarter of a second, and larger pieces are not faster by the token
PREFILL_TOKENS_CPU, PREFILL_TOKENS_CARD = 128, 512


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
        with torch.inference_mode():
            self._kind_of_batch = kind_of_batch(loaded.model)
        self._adapters = Adapters(loaded)
        self._lanes: dict[str | None, Lane] = {}
        self._open: list[Generation] = []
        self._arrived: deque[tuple[Request, Generation]] = deque()
        self._tasks: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._wake = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"engine {loaded.source.name}", daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether it takes nothing more."""
        return self._is_closed

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

    def add_adapter(self, name: str, folder: Path) -> None:
        """Put an adapter beside the weights, between two steps of whatever runs; requests can then name it.

        Raises:
            AdapterMismatch: it was made for another base, or it is none that runs here.
            PickledWeights: its weights could run code.
        """
        self._do(lambda: self._adapters.add(name, folder, self._adapters_in_use()))

    def apply_adapter(self, name: str | None) -> None:
        """Leave an adapter, or none, applied to the model itself, for whoever uses it without requests."""
        self._do(lambda: self._adapters.use(name))

    def alone(self, work: Callable[[PreTrainedModel], None]) -> None:
        """Let `work` have the model without an adapter; requests that run go on after it."""

        def task() -> None:
            self._adapters.use(None)
            with torch.inference_mode():
                work(self.loaded.model)

        self._do(task)

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
        check_tokens(self.loaded, request.token_ids)

    @torch.inference_mode()
    def _run(self) -> None:
        try:
            while self._has_work():
                self._do_tasks()
                self._admit()
                for adapter, lane in list(self._lanes.items()):
                    self._turn(adapter, lane)
        finally:
            self._end_all()

    def _adapters_in_use(self) -> set[str | None]:
        return {*self._lanes, *(request.adapter for request, _ in list(self._arrived))}

    def _has_work(self) -> bool:
        """Wait for something to do; False when the engine was closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._is_closed or self._arrived or self._tasks or self._lanes)
            return not self._is_closed

    def _do(self, task: Callable[[], None]) -> None:
        """Have the thread that owns the model do something between two steps."""
        done: Future[None] = Future()
        with self._wake:
            if self._is_closed:
                raise RuntimeError("the engine is closed")
            self._tasks.append((task, done))
            self._wake.notify()
        done.result()

    def _do_tasks(self) -> None:
        while self._tasks:
            task, done = self._tasks.popleft()
            try:
                with torch.inference_mode(False):  # weights that are made in there could never be changed again
                    task()
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

    def _turn(self, adapter: str | None, lane: Lane) -> None:
        try:
            self._adapters.use(adapter)
        except Exception as error:
            lane.fail(error)
        try:
            lane.turn(max(self._prefill_tokens // len(self._lanes), 1))
        except Exception as error:
            lane.fail_running(error)
        if not lane.n_rows:
            del self._lanes[adapter]

    def _admit(self) -> None:
        """Begin with what has arrived, as far as there is room; what was cancelled meanwhile never begins."""
        with self._wake:
            for entry in [entry for entry in self._arrived if entry[1].is_cancelled]:
                self._arrived.remove(entry)
                entry[1].end("cancelled")
            n_free = self._max_rows - sum(lane.n_rows for lane in self._lanes.values())
            entries = [self._arrived.popleft() for _ in range(min(n_free, len(self._arrived)))]
        for request, generation in entries:
            try:
                self._lane(request.adapter).take([Row(self.loaded, request, generation)])
            except Exception as error:  # what is wrong with one request ends that one alone
                generation.fail(as_workbench_error(error))

    def _lane(self, adapter: str | None) -> Lane:
        if adapter not in self._lanes:
            begin = lambda: self._kind_of_batch(self.loaded.model)  # noqa: E731
            self._lanes[adapter] = Lane(self.loaded, begin, self._prefill_tokens)
        return self._lanes[adapter]

    def _end_all(self) -> None:
        with self._wake:
            self._is_closed = True
        for generation in self._open:
            if not generation.has_ended:
                generation.end("cancelled")
        for _, done in self._tasks:
            done.set_exception(RuntimeError("the engine is closed"))
        self._arrived.clear()
        for lane in self._lanes.values():
            lane.clear()
        self._lanes.clear()
