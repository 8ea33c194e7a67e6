"""One completion as its caller holds it: iterate over it, cancel it, read its figures at the end.

How tokens are made is the engine's business; it fills what stands here, from its own thread.
"""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from typing import Literal, Self

from core.llm.sampling import Sampling

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to continue, and how."""

    token_ids: tuple[int, ...]
    sampling: Sampling
    adapter: str | None = None
    """One that `Engine.add_adapter` has been given."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """New text, and how many tokens were made since the chunk before."""

    text: str
    n_tokens: int


class Generation:
    """A completion that is being made. Iterating yields each `Chunk` as it comes and raises what went wrong.

    The figures are complete once the iteration has ended; it is for one thread, `cancel` for any.
    """

    def __init__(self, request: Request) -> None:
        self.prompt_tokens = len(request.token_ids)
        self.completion_tokens = 0
        """Tokens made, the one that ended the answer among them."""
        self.shared_with = 0
        """The most other requests that were decoded together with this one."""
        self.cache_bytes_per_token = 0
        """What each of its tokens takes in the model's cache; 0 where that cannot be told."""
        self.is_cancelled = False
        self.has_ended = False
        """Whether the engine is done with it; chunks may still wait to be read."""
        self._finish_reason: FinishReason | None = None
        self._submitted_s = time.perf_counter()
        self._first_token_s: float | None = None
        self._last_token_s: float | None = None
        self._chunks: queue.SimpleQueue[Chunk | BaseException | None] = queue.SimpleQueue()
        self._is_read = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        if self._is_read:
            raise StopIteration
        chunk = self._chunks.get()  # the engine always puts an end, whatever happens to it
        if isinstance(chunk, Chunk):
            return chunk
        self._is_read = True
        if chunk is None:
            raise StopIteration
        raise chunk

    def cancel(self) -> None:
        """End the completion at the next step; the text so far stays, and the finish reason becomes `cancelled`."""
        self.is_cancelled = True

    @property
    def finish_reason(self) -> FinishReason:
        """Why the text ended: at an end token or stop string, at its longest, or by a cancel.

        Raises:
            RuntimeError: it has not ended.
        """
        if self._finish_reason is None:
            raise RuntimeError("the completion has not ended: iterate over it first")
        return self._finish_reason

    @property
    def cache_bytes(self) -> int | None:
        """This request's own share of the model's cache; None where that cannot be told."""
        return self.cache_bytes_per_token * (self.prompt_tokens + self.completion_tokens) or None

    @property
    def time_to_first_token_s(self) -> float | None:
        """Seconds from submit until the first token was made; None while there is none."""
        return None if self._first_token_s is None else self._first_token_s - self._submitted_s

    @property
    def decode_s(self) -> float | None:
        """Seconds from the first token to the last; None before the first."""
        if self._first_token_s is None or self._last_token_s is None:
            return None
        return self._last_token_s - self._first_token_s

    def count_token(self) -> None:
        """For the engine: one more token was made, now."""
        self._last_token_s = time.perf_counter()
        if self._first_token_s is None:
            self._first_token_s = self._last_token_s
        self.completion_tokens += 1

    def put(self, chunk: Chunk) -> None:
        """For the engine: hand the caller what is new."""
        self._chunks.put(chunk)

    def end(self, reason: FinishReason) -> None:
        """For the engine: nothing more comes."""
        self._finish_reason = reason
        self.has_ended = True
        self._chunks.put(None)

    def fail(self, error: BaseException) -> None:
        """For the engine: nothing more comes, because of this error."""
        self.has_ended = True
        self._chunks.put(error)
