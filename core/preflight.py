"""What must hold before anything is started: a home that can be written, space, one `up` a home, a free port.

Each refusal is one sentence that says what to do. Redis and the database are asked elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from core.errors import SetupError

MIN_FREE_BYTES = 200_000_000  # the database, its copy before a migration, and the logs
PORT_PATIENCE_S = 1.0  # what a `kill -9` ended may hold its port for a moment
LOCK = "up.lock"


@dataclass(frozen=True)
class Running:
    """The `up` of a home: its process, and the address of its page once that is known."""

    pid: int
    address: str


def make_home(home: Path) -> None:
    """Make the home where it is missing, private to its owner, and write a file there to see that it can be.

    Raises:
        SetupError: it cannot be made or written.
    """
    probe = home / ".probe"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe.write_bytes(b"x" * 4096)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(home, 0) from error
        raise SetupError(
            f"The folder {home} cannot be written: {str(error.strerror).lower()}.",
            "Set WORKBENCH_HOME to a folder that you may write.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def check_space(home: Path, needed_bytes: int = MIN_FREE_BYTES) -> int:
    """The free bytes on the disk of `home`.

    Raises:
        SetupError: they are fewer than `needed_bytes`.
    """
    free_bytes = shutil.disk_usage(home).free
    if free_bytes < needed_bytes:
        raise _full(home, free_bytes, needed_bytes)
    return free_bytes


def free_port(host: str, port: int) -> int:
    """`port` itself where it is free; for 0, one that is.

    Raises:
        SetupError: another program listens there, or the address is not this machine's.
    """
    end = time.monotonic() + PORT_PATIENCE_S
    while True:
        try:
            return _bind(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = str(error.strerror).lower()
                raise SetupError(f"The page cannot be bound to {host}:{port}: {reason}.", _OTHER_ADDRESS) from error
            if time.monotonic() > end:
                raise SetupError(
                    f"Port {port} of {host} is taken by another program.",
                    f"Stop that, or choose another port, such as WORKBENCH_PORT={_bind(host, 0)}.",
                ) from error
            time.sleep(0.1)


_OTHER_ADDRESS = "Set WORKBENCH_HOST and WORKBENCH_PORT to an address of this machine."


class Lock:
    """The one `up` of a home. The kernel lets go of it with the process, however that ends."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def say(self, address: str = "") -> None:
        """Leave for others who holds the home, and where its page is."""
        self._file.seek(0)
        self._file.truncate()
        json.dump({"pid": os.getpid(), "address": address}, self._file)
        self._file.flush()


@contextlib.contextmanager
def one_up(home: Path, run_folder: Path) -> Iterator[Lock]:
    """Hold the home, and leave no lock behind.

    Raises:
        SetupError: another `up` holds it.
    """
    run_folder.mkdir(mode=0o700, exist_ok=True)
    path = run_folder / LOCK
    file = _open_locked(path)
    if file is None:
        other = running_up(run_folder)
        raise SetupError(
            f"A workbench already runs on {home}: process {other.pid if other else 'unknown'}"
            + (f", {other.address}." if other and other.address else "."),
            "Stop that one, or set WORKBENCH_HOME to another folder.",
        )
    with file:
        lock = Lock(file)
        lock.say()
        try:
            yield lock
        finally:
            path.unlink(missing_ok=True)


def running_up(run_folder: Path) -> Running | None:
    """The `up` that holds this home; None where none does."""
    try:
        with (run_folder / LOCK).open() as file:
            if _lock(file):
                return None
            return Running(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def _open_locked(path: Path) -> IO[str] | None:
    while True:
        file = path.open("a+")
        if not _lock(file):
            file.close()
            return None
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        file.close()  # its last holder removed it between our open and our lock


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _bind(host: str, port: int) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does: closed connections do not count
        bound.bind(address)
        bound.listen(1)
        return int(bound.getsockname()[1])


def _full(home: Path, free_bytes: int, needed_bytes: int = MIN_FREE_BYTES) -> SetupError:
    return SetupError(
        f"The disk of {home} is full: {free_bytes / 1e6:,.0f} MB are free, {needed_bytes / 1e6:,.0f} MB are needed.",
        "Free some space, or set WORKBENCH_HOME to a folder on another disk.",
    )
