"""Following one job from outside a web page: its row and its live text, until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import redis

from core.stream import FROM_THE_START, Transcript
from core.values import Job

BLOCK_S = 0.5


@dataclass(frozen=True)
class Update:
    """News of a job that is watched: its row, and the text that has come since the last update.

    `restarted` says that the text begins anew, because another attempt has taken the job over.
    """

    job: Job
    text: str = ""
    restarted: bool = False


class Tail:
    """The end of one job's stream, read as it grows. Without a broker it is always empty."""

    def __init__(self, client: redis.Redis | None, key: str) -> None:
        self.transcript = Transcript()
        self._client = client
        self._key = key
        self._last_id = FROM_THE_START

    def read(self, wait_s: float) -> None:
        """Take what has come since the last call, waiting up to `wait_s` seconds for something."""
        try:
            entries = self._entries(wait_s)
        except redis.RedisError:
            time.sleep(wait_s)  # the row still says how the job goes on
            return
        for entry_id, entry in entries:
            self._last_id = entry_id
            self.transcript.apply(entry)

    def _entries(self, wait_s: float) -> list[tuple[str, dict[str, str]]]:
        if self._client is None:
            time.sleep(wait_s)
            return []
        block_ms = int(wait_s * 1000) or None  # a block of 0 would wait for ever
        found: Any = self._client.xread({self._key: self._last_id}, block=block_ms)
        return list(found[0][1]) if found else []


def follow(
    show: Callable[[], Job], tail: Tail, is_over: Callable[[Job], bool] = lambda job: job.state.is_finished
) -> Iterator[Update]:
    """News of the job that `show` reads afresh, until it is over."""
    attempt, n_shown = 0, 0
    while True:
        job = show()  # before the stream: once the row says that the job has ended, the stream holds all its text
        tail.read(0 if is_over(job) else BLOCK_S)
        text = _whole_text(job) or tail.transcript.text
        restarted = n_shown > 0 and tail.transcript.attempt > attempt
        attempt, n_shown = max(attempt, tail.transcript.attempt), 0 if restarted else n_shown
        yield Update(job, text[n_shown:], restarted)
        n_shown = len(text)
        if is_over(job):
            return


def _whole_text(job: Job) -> str:
    return str((job.result or {}).get("text", ""))
