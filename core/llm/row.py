"""One request inside the engine: its cache, its sampler, its text, and when it has ended.

Which rows are decoded together, and when, is the engine's business.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from core.llm.detokenize import TextStream
from core.llm.generation import Chunk, FinishReason, Generation, Request
from core.llm.loading import LoadedModel
from core.llm.sampling import Sampler


class Row:
    """A request while the engine works on it."""

    def __init__(self, loaded: LoadedModel, request: Request, generation: Generation) -> None:
        self.generation = generation
        self.cache: Any = None  # of the batch's own kind, while the prompt is read in pieces
        self.sampler = Sampler(request.sampling, request.token_ids, loaded.device)
        self.is_plain_greedy = request.sampling.is_plain_greedy
        self.last_token = request.token_ids[-1]
        self._sampling = request.sampling
        self.unread = list(request.token_ids)
        self._eos_ids = loaded.eos_ids
        self._text = TextStream(loaded.tokenizer, request.sampling.stop)
        self._n_unsent = 0

    @property
    def n_unread(self) -> int:
        """How many tokens of the prompt have not been read yet."""
        return len(self.unread)

    def accept(self, token_id: int) -> bool:
        """Take the next token of the answer; False where the answer ends with it."""
        self.last_token = token_id
        self.generation.count_token()
        self._n_unsent += 1
        if token_id in self._eos_ids:
            return self._ended("stop")
        text = self._text.push(token_id)
        if self._text.stopped:
            return self._ended("stop", text)
        if self.generation.completion_tokens >= self._sampling.max_new_tokens:
            return self._ended("length", text)
        if text:
            self._send(text)
        return True

    def cancel(self) -> None:
        """End where it stands; what was held back is shown."""
        self._ended("cancelled")

    def _ended(self, reason: FinishReason, text: str = "") -> bool:
        text += self._text.finish()
        if text or self._n_unsent:
            self._send(text)
        self.generation.end(reason)
        return False

    def _send(self, text: str) -> None:
        self.generation.put(Chunk(text, self._n_unsent))
        self._n_unsent = 0


def pick_tokens(rows: list[Row], logits_B_V: Tensor) -> list[int]:
    """The next token of each row, brought to the host in one transfer."""
    if all(row.is_plain_greedy for row in rows):
        return _ids(logits_B_V.argmax(-1))
    likeliest_B = logits_B_V.argmax(-1) if any(row.is_plain_greedy for row in rows) else None
    picked = [
        row.sampler.pick(logits_V) if likeliest_B is None or not row.is_plain_greedy else likeliest_B[index]
        for index, (row, logits_V) in enumerate(zip(rows, logits_B_V, strict=True))
    ]
    return _ids(torch.stack(picked))


def _ids(tokens_B: Tensor) -> list[int]:
    return [int(each) for each in tokens_B.tolist()]
