"""Publishes live text from one thread, so that no job ever waits for Redis.

Per job it keeps the whole text and how much of it has been sent. After a failure it simply tries again from there;
where the stream has vanished (Redis was emptied or restarted) it starts again at offset 0.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import redis

from core.stream import MAX_ENTRIES, Keys, add_ring, add_text, connect

PAUSE_S = 0.015  # pieces that come closer together than this travel together
RETRY_S = 1.0
LOG = logging.getLogger(__name__)


@dataclass
class _Text:
    attempt: int
    pieces: list[str] = field(default_factory=list)
    n_sent: int = 0
    n_entries: int = 0
    is_closed: bool = False

    def unsent(self) -> str:
        text = "".join(self.pieces)
        self.pieces = [text]
        return text[self.n_sent :]


class Publisher:
    """The one writer of this process to the jobs' streams."""

    def __init__(self, url: str, keys: Keys, client: Callable[[str], redis.Redis] = connect) -> None:
        self._client = client(url)
        self._keys = keys
        self._texts: dict[str, _Text] = {}
        self._rings: set[str] = set()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)
        self._thread.start()

    def write(self, job_id: str, attempt: int, text: str) -> None:
        """Stream a piece of a job's text."""
        with self._lock:
            current = self._texts.get(job_id)
            if current is None or current.attempt != attempt:
                current = self._texts[job_id] = _Text(attempt)
            current.pieces.append(text)
        self._news.set()

    def ring(self, job_id: str, *, is_over: bool = False) -> None:
        """Say that a job's row has changed; `is_over`: this process will write no more of its text."""
        with self._lock:
            self._rings.add(job_id)
            if is_over and job_id in self._texts:
                self._texts[job_id].is_closed = True
        self._news.set()

    def close(self) -> None:
        """Send what there is, for at most two seconds, and end the thread."""
        self._closing.set()
        self._news.set()
        self._thread.join(timeout=2)

    def _work(self) -> None:
        while not (self._closing.is_set() and not self._news.is_set()):
            self._news.wait(timeout=1)
            self._news.clear()
            try:
                self._send()
                self._closing.wait(PAUSE_S)
            except redis.RedisError as error:
                LOG.warning("live text pauses: %s", error)
                if self._closing.wait(RETRY_S):
                    return
                self._news.set()

    def _send(self) -> None:
        with self._lock:
            rings, texts = set(self._rings), [(job_id, text, text.unsent()) for job_id, text in self._texts.items()]
        texts = [entry for entry in texts if entry[2]]
        pipe = self._client.pipeline(transaction=False)
        for job_id, text, unsent in texts:
            add_text(pipe, self._keys, job_id, text.attempt, text.n_sent, unsent)
        for job_id in rings:  # after the text: who hears that a job has ended finds all of it
            add_ring(pipe, self._keys, job_id)
        lengths = pipe.execute()[2 : 3 * len(texts) : 3]
        self._settle(texts, lengths, rings)

    def _settle(self, texts: list[tuple[str, _Text, str]], lengths: list[int], rings: set[str]) -> None:
        with self._lock:
            for (_, text, unsent), length in zip(texts, lengths, strict=True):
                text.n_entries += 1
                if length < min(text.n_entries, MAX_ENTRIES // 2):  # the stream is younger than this text
                    text.n_sent, text.n_entries = 0, 0
                    self._news.set()
                else:
                    text.n_sent += len(unsent)
            self._rings -= rings
            done = [job_id for job_id, text in self._texts.items() if text.is_closed and not text.unsent()]
            for job_id in done:
                del self._texts[job_id]
