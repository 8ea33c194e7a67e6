"""The parts of one workbench, in the order in which they need each other, and what is said of each.

Nothing heavy is imported: the page is on its way within a second, and workers, which import torch, start once it
answers. What each part does is the part's own matter.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from core import broker, preflight
from core.errors import SetupError
from core.part import Part, rotate
from core.settings import Settings
from core.tether import tethered_env

PAGE_PATIENCE_S = 120.0
STOP_S = 8.0  # workers give their jobs back within six; with the broker's two it makes ten
TICK_S = 0.1


class House:
    """All parts of one workbench."""

    def __init__(self, settings: Settings, port: int, lock: preflight.Lock) -> None:
        self._settings = settings
        self._lock = lock
        self._port = port
        self._address = address_of(settings.host, port)
        self._broker: broker.OwnBroker | None = None
        self._web = self._part("Page", "web")
        self._worker = self._part("Workers", "worker")
        self._unpacking: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the parts in the order in which they need each other; returns when the page answers.

        Raises:
            SetupError: one of them cannot start.
        """
        print(f"LLM Workbench in {self._settings.home}", flush=True)
        self._start_broker()
        self._web.start()  # it takes the longest, and waits for the tables by itself
        self._migrate()
        _say("Device", _devices())
        self._wait_for_page()

    def watch(self) -> None:
        """Keep every part running, until a signal.

        Raises:
            SetupError: the workers cannot start at all.
        """
        self._unpack_model()
        self._worker.start()
        next_look = 0.0
        while True:
            self._tend()
            if not self._worker.is_ready and time.monotonic() > next_look:
                self._look_for_workers()
                next_look = time.monotonic() + 0.5
            time.sleep(TICK_S)

    def stop(self, is_hurried: Callable[[], bool]) -> None:
        """End every part: in good order; by force what is left after eight seconds, or once someone is in a hurry."""
        if self._unpacking:
            self._unpacking.kill()  # it leaves a half-made folder that its next start removes
            self._unpacking.wait()
        parts = (self._worker, self._web)
        for part in parts:
            part.stop()
        end = time.monotonic() + STOP_S
        while any(part.is_running for part in parts) and time.monotonic() < end and not is_hurried():
            time.sleep(0.02)
        for part in parts:
            part.kill()
        if self._broker:
            self._broker.stop()

    def _part(self, title: str, module: str, *arguments: str) -> Part:
        log = self._settings.home / "logs" / f"{module.rpartition('.')[2]}.log"
        env = {"WORKBENCH_HOME": str(self._settings.home), "WORKBENCH_PORT": str(self._port)}
        return Part(module, *arguments, log=log, env=env, say=lambda text: _say(title, text))

    def _start_broker(self) -> None:
        broker.clear(self._settings.run_folder)
        if self._settings.redis_url:
            broker.check(self._settings.redis_url)
            return _say("Redis", f"given, at {broker.where(self._settings.redis_url)}")
        log = self._settings.home / "logs" / "redis.log"
        rotate(log)
        self._broker = broker.OwnBroker.start(self._settings.run_folder, log)
        return _say("Redis", "own, on a private socket")

    def _migrate(self) -> None:
        from sqlalchemy.engine import make_url

        from core.migrate import migrate

        is_changed = migrate(self._settings.database)
        url = make_url(self._settings.database)
        kind = "SQLite" if url.get_backend_name() == "sqlite" else f"PostgreSQL at {url.host}"
        _say("Database", f"{kind}, {url.database}{', brought up to date' if is_changed else ''}")

    def _unpack_model(self) -> None:
        """Where setup has not done it; the command draws its own bar, below the address of the page."""
        from core.catalog import builtin_is_ready

        if builtin_is_ready(self._settings.home):
            return
        _say("Model", "the built-in one is unpacked first, once")
        command = [sys.executable, "-m", "core.llm.unpack", str(self._settings.home)]
        self._unpacking = subprocess.Popen(
            [sys.executable, "-m", "core.tether", *command], env=tethered_env(), start_new_session=True
        )
        while self._unpacking.poll() is None:
            self._tend()
            time.sleep(TICK_S)

    def _wait_for_page(self) -> None:
        end = time.monotonic() + PAGE_PATIENCE_S
        while not answers(self._settings.host, self._port):
            self._tend()
            if time.monotonic() > end:
                raise SetupError(f"The page does not answer in {PAGE_PATIENCE_S:.0f} s.", f"See {self._web.log}.")
            time.sleep(0.05)
        self._web.is_ready = True
        for line in self._web.said():
            if "/welcome?link=" in line:
                print(f"  {line}", flush=True)
        self._lock.say(self._address)
        _say("Page", self._address)

    def _tend(self) -> None:
        if self._broker and self._broker.has_died():
            _say("Redis", "ended by itself and starts again")
            time.sleep(1)
            self._broker.launch()
        self._web.tend()
        self._worker.tend()

    def _look_for_workers(self) -> None:
        from core.store import Store

        family = _family(self._worker.pid)
        store = Store.open(self._settings.database)
        try:
            found = [info for info in store.workers() if info.host == socket.gethostname() and info.pid in family]
        finally:
            store.close()
        if {"interactive", "batch"} <= {info.queue for info in found}:
            self._worker.is_ready = True
            slots = ", ".join(f"{info.queue} ({info.slots} at once)" for info in found)
            _say("Workers", f"{slots}, on {found[0].device}")
            print("Ready. Ctrl-C stops everything.", flush=True)


def answers(host: str, port: int, patience_s: float = 2.0) -> bool:
    """Whether the page says that it is well."""
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=patience_s)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def address_of(host: str, port: int) -> str:
    """The page's address for a browser on this machine."""
    reachable = _reachable(host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _reachable(host: str) -> str:
    """Where a browser on this machine reaches what is bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def _devices() -> str:
    from core.cards import gigabytes, read_cards

    memory = {"gpu": "GPU memory", "host": "host memory"}
    return "; ".join(
        f"{card.name}, {gigabytes(card.total_bytes)} of {memory[card.memory_kind]} ({gigabytes(card.free_bytes)} free)"
        for card in read_cards()
    )


def _family(pid: int | None) -> set[int]:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return {pid or 0, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    return set()


def _say(title: str, text: str) -> None:
    print(f"  {title:<9} {text}", flush=True)
