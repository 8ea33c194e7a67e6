"""One part of a running workbench as `up` sees it: a process with a log, started again when it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from core.errors import SetupError
from core.tether import tethered_env

CANNOT_START = 3  # the exit code of a part that has said its reason in one sentence
BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
GIVE_UP = 3  # restarts of a part that has never been ready
HEALTHY_S = 60.0  # after that long a death is not a repeated one
MAX_LOG_BYTES = 5_000_000


class Part:
    """`python -m MODULE ARGUMENTS…` in a session of its own, tethered to this process."""

    def __init__(self, module: str, *arguments: str, log: Path, env: Mapping[str, str], say: Callable[[str], None]):
        self.log = log
        self.is_ready = False
        self._command = [sys.executable, "-m", module, *arguments]
        self._env = env
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._started_at = 0.0
        self._start_at = float("inf")  # nobody has asked for it yet
        self._failures = 0

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, its output going to the log."""
        rotate(self.log)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=tethered_env(PYTHONUNBUFFERED="1", **self._env),
                start_new_session=True,  # a Ctrl-C in the terminal reaches `up` alone, which stops all in order
            )
        self._started_at = time.monotonic()

    def tend(self) -> None:
        """Start it again where it has died, after a pause that grows.

        Raises:
            SetupError: it has never been ready and says itself that it cannot start.
        """
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self.start()
        elif (code := self._process.poll()) is not None:
            self._mourn(code)

    def said(self) -> list[str]:
        """The lines that it has written since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Ask it to end."""
        if self._process and self.is_running:
            self._process.send_signal(signum)

    def kill(self) -> None:
        """End it, and what is left of its process group, now."""
        if self._process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _mourn(self, code: int) -> None:
        last_words = (self.said() or ["it said nothing"])[-1]
        if not self.is_ready and code == CANNOT_START:
            raise SetupError(last_words)
        if not self.is_ready and self._failures == GIVE_UP:
            raise SetupError(f"A part does not start: {last_words}.", f"Its log is {self.log}.")
        self._failures = 0 if time.monotonic() - self._started_at > HEALTHY_S else self._failures
        pause_s = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1
        self._process, self._start_at = None, time.monotonic() + pause_s
        self._say(f"ended with {code} and starts again in {pause_s:g} s: {last_words} (log: {self.log})")


def rotate(log: Path) -> None:
    """Put a log that has grown large aside; the one before it goes."""
    log.parent.mkdir(mode=0o700, exist_ok=True)
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".1.log"))
