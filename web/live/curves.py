"""The curves of runs that are watched: a long run takes half a second to read, and rings at each step.

So what was read stands for ten times as long as reading took, and what came meanwhile is read after that, though
nobody rings any more. What has ended, was paused or began anew is read at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from core.store import Store
from core.values import Job
from web.train_curves import read_curves

REST = 10.0  # times as long as a read took
MOST_KEPT = 64


@dataclass(frozen=True)
class _Read:
    state: tuple[str, int]
    until: float
    text: str


class Curves:
    """What was read of each run, and until when it stands."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._read: dict[str, _Read] = {}
        self._owed: dict[str, float] = {}

    def again_s(self, job_id: str) -> float:
        """Seconds until what was given is worth reading anew; infinity where it was just read."""
        return max(self._owed[job_id] - self._clock(), 0.0) if job_id in self._owed else math.inf

    def of(self, store: Store, job: Job) -> str:
        """All curves of a run as JSON. Reads the store, so it belongs into a thread."""
        now, state = self._clock(), (str(job.state), job.attempt)
        held = self._read.get(job.id)
        if held and held.state == state and now < held.until:
            self._owed[job.id] = held.until
            return held.text
        self._owed.pop(job.id, None)
        text = read_curves(store, job)
        after = self._clock()
        if job.state.is_finished:
            self._read.pop(job.id, None)
            return text
        while len(self._read) >= MOST_KEPT:
            self._read.pop(next(iter(self._read)), None)
        self._read[job.id] = _Read(state, after + REST * (after - now), text)
        return text
