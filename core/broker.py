"""The broker: whether a given Redis answers, and the own Valkey that runs where none is given.

The own one listens on a socket in a private folder alone, keeps nothing on disk, and dies with the process that
started it. What is put into it is said in `core.queue` and `core.stream`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core import valkey
from core.errors import SetupError, Unavailable

ADDRESS = "redis.url"
CHECK_PATIENCE_S = 3.0
START_PATIENCE_S = 10.0
STOP_PATIENCE_S = 2.0


class OwnBroker:
    """A Valkey of our own, whose address lies in `redis.url` of the run folder while it runs."""

    def __init__(self, run_folder: Path, log: Path) -> None:
        self._address = run_folder / ADDRESS
        self._log = log
        self._socket = valkey.socket_path(run_folder)
        self._password = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://:{self._password}@{self._socket}?db=0"

    @classmethod
    def start(cls, run_folder: Path, log: Path | None = None) -> OwnBroker:
        """A broker that answers; one that a `kill -9` left behind is shut down first.

        Raises:
            SetupError: it cannot be started here.
        """
        run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        run_folder.chmod(0o700)
        clear(run_folder)
        broker = cls(run_folder, log or run_folder / "redis.log")
        try:
            broker.launch()
        except BaseException:
            broker.stop()
            raise
        return broker

    @property
    def pid(self) -> int | None:
        """The server's process, where there is one."""
        return self._process.pid if self._process else None

    def launch(self) -> None:
        """Start the server, again where it has died, under the same address; returns when it answers.

        Raises:
            SetupError: it ends, or does not answer.
        """
        with self._log.open("ab") as log:
            self._process = valkey.spawn(self._socket, self._password, log)
        end = time.monotonic() + START_PATIENCE_S
        while not _answers(self.url):
            if self.has_died() or time.monotonic() > end:
                raise SetupError(f"The own Redis does not start: {_last_line(self._log)}.", f"Its log is {self._log}.")
            time.sleep(0.01)
        _write_private(self._address, self.url)

    def has_died(self) -> bool:
        """Whether the server has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """End the server; nothing of it is left."""
        if self._process and not self.has_died():
            self._process.terminate()
            try:
                self._process.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._address.unlink(missing_ok=True)
        valkey.remove_socket(self._socket)


def clear(run_folder: Path) -> None:
    """Shut down the server that an `up` which was killed left behind, and remove its socket and address."""
    address = run_folder / ADDRESS
    if not address.exists():
        return
    url = address.read_text().strip()
    if url.startswith("unix:"):
        with contextlib.suppress(redis.RedisError, OSError, ValueError), _client(url, patience_s=2) as client:
            client.shutdown(nosave=True, now=True, force=True)
        valkey.remove_socket(Path(urlsplit(url).path))
    address.unlink(missing_ok=True)


def check(url: str) -> None:
    """Ask the Redis at `url` whether it is there; returns within seconds.

    Raises:
        Unavailable: it does not answer, or refuses the password.
        SetupError: the URL is none.
    """
    try:
        with _client(url, CHECK_PATIENCE_S) as client:
            client.ping()
    except ValueError as error:
        raise SetupError(f"{where(url)} is not the URL of a Redis: {error}.", "Correct WORKBENCH_REDIS_URL.") from error
    except redis.AuthenticationError as error:
        raise Unavailable(f"Redis at {where(url)} refuses the password.", "Correct WORKBENCH_REDIS_URL.") from error
    except (redis.RedisError, OSError) as error:
        raise Unavailable(
            f"Redis at {where(url)} does not answer: {str(error).rstrip('.') or type(error).__name__}.",
            "Start it, correct WORKBENCH_REDIS_URL, or unset that to have an own one started.",
        ) from error


def where(url: str) -> str:
    """The address in a URL, without its password."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2] or url


def _client(url: str, patience_s: float) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=patience_s, socket_connect_timeout=patience_s, retry=Retry(NoBackoff(), 0)
    )


def _answers(url: str) -> bool:
    try:
        with _client(url, patience_s=1) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, and nobody else's to read at any moment."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    partial.replace(path)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
