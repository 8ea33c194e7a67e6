"""A job in this worker's hands, and how it learns that it must let go."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from enum import StrEnum

from core.store.claims import Claim


class StopReason(StrEnum):
    """Why a run is asked to end."""

    CANCEL = "cancel"  # its owner wants no more of it: what it has is kept
    PAUSE = "pause"  # its owner holds it: it saves what it has and waits in the queue
    YIELD = "yield"  # an interactive job waits for its memory: it saves what it has and waits in the queue
    DRAIN = "drain"  # the worker stops: the job goes back into its queue
    LOST = "lost"  # somebody else owns the job now: nothing may be written


GIVEN_BACK = {StopReason.PAUSE: "paused", StopReason.YIELD: "yielded", StopReason.DRAIN: "the worker stopped"}
"""The reasons after which a job waits in its queue again, in the words of its event."""


YIELD_SIGNAL = signal.SIGUSR1  # to a batch job's process alone: what it started does not know it


class Stopped(BaseException):
    """The run was asked to end where it had nothing to give back yet. No library may catch it by `except Exception`."""


class Hold:
    """One claimed job while it runs. The first reason to stop is the one that counts."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.began_s = time.monotonic()
        self.reason: StopReason | None = None
        self.is_whole = False
        """Whether the run has done all that was asked: its result stands, though it was asked to pause meanwhile."""
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._asked = threading.Event()

    @property
    def key(self) -> tuple[str, int]:
        """The job and the attempt under which it is held."""
        return self.claim.job_id, self.claim.attempt

    def stop(self, reason: StopReason) -> None:
        """Ask the run to end."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            callbacks, self._callbacks = self._callbacks, []
        self._asked.set()
        for callback in callbacks:
            callback()

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the run is asked to end; at once where it already is."""
        with self._lock:
            if self.reason is None:
                self._callbacks.append(callback)
                return
        callback()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the run is asked to end, for at most `timeout_s` seconds; whether it is."""
        return self._asked.wait(timeout_s)
