"""The whole workbench in a throwaway home, for benchmarks that look at it from outside."""

from __future__ import annotations

import os
import socket
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.broker import OwnBroker
from core.client import Workbench
from core.migrate import migrate
from core.settings import Settings
from tests.support import eventually, running

MODULES = {"web": ("-m", "web"), "plain": ("-m", "benchmarks.plain_celery")}


@dataclass(frozen=True)
class Stage:
    """A running workbench and the way to it."""

    settings: Settings
    workbench: Workbench
    processes: dict[str, int]

    @property
    def url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.port}"


@contextmanager
def stage(
    model_home: Path | None = None, parts: tuple[str, ...] = ("web", "interactive"), **given: object
) -> Iterator[Stage]:
    """An own broker, a database, and the named parts: web, interactive, batch, and plain, which is Celery alone.

    `model_home` lends its built-in model.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if model_home:
            (home / "models").symlink_to(model_home / "models")
        broker = OwnBroker.start(home / "run")
        stack.callback(broker.stop)
        settings = Settings(home=home, port=free_port(), extra_kinds="tests.kinds", **given)  # type: ignore[arg-type]
        migrate(settings.database)
        workbench = Workbench.open(settings)
        processes = {"bench": os.getpid()}
        for part in parts:
            processes[part] = stack.enter_context(running(settings, *MODULES.get(part, ("-m", "worker", part)))).pid
        ready = Stage(settings, workbench, processes)
        if "web" in parts:
            eventually(lambda: _answers(ready.url))
        eventually(lambda: {info.queue for info in workbench.workers()} >= set(parts) - set(MODULES))
        yield ready


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(f"{url}/healthz", timeout=1).status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
