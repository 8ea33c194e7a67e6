"""Ties a process to the one that started it, so that a `kill -9` of the parent leaves no orphan behind.

`python -m core.tether PROGRAM ARGUMENTS…` does it for a program that is not ours. Only the standard library is
imported here: this runs before anything else in every part.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

PARENT = "WORKBENCH_TETHER"
POLL_S = 0.5
PR_SET_PDEATHSIG = 1


def tethered_env(**further: str) -> dict[str, str]:
    """The environment for a child that is to die with this process.

    It also keeps `python -m` from finding a `core` or `web` folder of whoever's folder this was started in.
    """
    return {**os.environ, "PYTHONSAFEPATH": "1", **further, PARENT: str(os.getpid())}


def die_with_parent() -> None:
    """Have this process killed as soon as the one that WORKBENCH_TETHER names, its parent, is gone.

    Without that variable a person or an init system started it, and it stays. On Linux the kernel watches the thread
    that spawned the process: spawn from one that lives as long as the child may.
    """
    parent = int(os.environ.get(PARENT, "0"))
    if not parent:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        _when_gone(parent, lambda: os.kill(os.getpid(), signal.SIGKILL))
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit("The process that started this one is gone.")


def _when_gone(parent: int, act: Callable[[], None]) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        act()

    threading.Thread(target=watch, name="tether", daemon=True).start()


def main(command: list[str]) -> int:
    """Become `command`, tethered. Only Linux keeps that through an exec; elsewhere this process stays on guard."""
    if sys.platform == "linux":
        die_with_parent()
        os.execvp(command[0], command)  # noqa: S606 - the program that our own part named
    program = subprocess.Popen(command)
    _when_gone(int(os.environ.get(PARENT, os.getppid())), program.kill)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, _frame: program.send_signal(signum))
    return program.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
