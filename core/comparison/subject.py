"""A variant in a process of its own, as whoever measures it holds it: ask for a thing, get values, hear of progress.

The process is `python -m core.llm.subject`; one JSON object a line goes to it and comes from it. No torch here.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from core.errors import WorkbenchError
from core.tether import tethered_env
from core.values import Progress, Trouble
from core.variant import Variant

LISTEN_S = 0.1
BYE_S = 10.0
KILLED = -9
MOST_SAID = 2_000


class SubjectTrouble(WorkbenchError):
    """What a variant's process could not do; its `trouble` is what the comparison keeps."""

    code = "subject"

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message, trouble.hint)
        self.trouble = trouble


class SubjectStopped(WorkbenchError):
    """Whoever asked was told to stop meanwhile; the process is gone."""

    code = "stopped"


class Subject:
    """One living process that is to hold one variant; until it is told which, it imports what any needs.

    Args:
        should_stop: asked while an answer is awaited.
        tell: hears how far the process is.
    """

    def __init__(self, should_stop: Callable[[], bool], tell: Callable[[Progress], None]) -> None:
        self._should_stop = should_stop
        self._tell = tell
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        command = [sys.executable, "-P", "-m", "core.llm.subject"]
        self._said: list[str] = []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=tethered_env(),
            text=True,
            encoding="utf-8",
        )
        for read in (self._read, self._read_errors):
            threading.Thread(target=read, name="subject", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether its process can still answer."""
        return self._process.poll() is None

    def load(self, home: Path, variant: Variant, trusted_code: str) -> dict[str, Any]:
        """Load a variant, once; what is known of it then."""
        found: dict[str, Any] = self.ask("load", home=str(home), variant=asdict(variant), trusted_code=trusted_code)
        return found

    def ask(self, what: str, **given: Any) -> Any:
        """The answer to one thing, of those in `core.llm.subject`.

        Raises:
            SubjectTrouble: it could not be done; the process lives on unless it was killed.
            SubjectStopped: asked to stop meanwhile.
        """
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"do": what, **given}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._gone() from None
        while True:
            said = self._next()
            if "progress" in said:
                self._tell(Progress.model_validate(said["progress"]))
            elif "trouble" in said:
                raise SubjectTrouble(Trouble.model_validate(said["trouble"]))
            elif "value" in said:
                return said["value"]

    def close(self) -> None:
        """End the process and reap it."""
        assert self._process.stdin
        try:
            self._process.stdin.close()
            self._process.wait(0 if self._should_stop() else BYE_S)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _next(self) -> Mapping[str, Any]:
        while True:
            if self._should_stop():
                self._process.kill()
                self._process.wait()
                raise SubjectStopped("The comparison was stopped.")
            try:
                line = self._lines.get(timeout=LISTEN_S)
            except queue.Empty:
                continue
            if line is None:
                time.sleep(LISTEN_S)  # where the whole group was told to stop, we may hear of it after the process did
                if not self._should_stop():
                    raise self._gone()
                continue
            found = _understood(line)
            if found:
                return found

    def _gone(self) -> SubjectTrouble:
        """Why the process ended, as far as that can be told from how it did."""
        code = self._process.wait()
        if code == KILLED:
            message = "The system killed the variant's process: the machine had no memory left for it."
            return SubjectTrouble(Trouble(code="out_of_memory", message=message, hint="Take a smaller precision."))
        last = (self._said or ["it said nothing"])[-1]
        message = f"The variant's process ended with code {code}: {last[:MOST_SAID]}"
        return SubjectTrouble(Trouble(code="worker_lost", message=message, hint="The others were measured."))

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            if line.strip():
                self._said = [*self._said[-20:], line.strip()]


def _understood(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:  # a library that prints
        return {}
    return found if isinstance(found, dict) else {}
