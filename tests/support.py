"""What tests need to start real processes and to wait for what they do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from core.client import Workbench
from core.ids import new_id
from core.migrate import migrate
from core.settings import Settings
from core.tether import PARENT

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
PATIENCE_S = 60.0


def eventually(look: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What `look` gives once it gives something true; an AssertionError after `patience_s` seconds."""
    end = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"in {patience_s} s {look} gave nothing but {found!r}"
        time.sleep(0.02)


@contextmanager
def workbench_of(home: Path, redis: str, **given: Any) -> Iterator[Workbench]:
    """A workbench of a test's own, in an empty home, whose workers look often for what was lost."""
    usual: dict[str, Any] = {"preload": False, "lease_s": 5, "sweep_s": 0.3}
    settings = Settings(home=home, redis_url=redis, redis_prefix=f"wbtest-{new_id()}", **usual | given)
    migrate(settings.database)
    opened = Workbench.open(settings)
    yield opened
    opened.close()


def environment(settings: Settings, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which a process reads these settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    ours = {
        f"WORKBENCH_{name.upper()}": ("1" if value else "0") if isinstance(value, bool) else str(value)
        for name, value in settings
    }
    return clean | ours | {"PYTHONPATH": str(ROOT)} | dict(more or {})


@contextmanager
def running(settings: Settings, *arguments: str, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process (`-m worker interactive`, say) that is gone, with all it started, when the block ends."""
    out = (log or settings.home / f"{'-'.join(arguments[-2:])}.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(settings, {PARENT: str(os.getpid())}),
        stdout=out,
        stderr=out,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill_tree(process)
        out.close()


@contextmanager
def served_page(settings: Settings) -> Iterator[str]:
    """The address of a page that is served until the block ends, without a traceback in its log."""
    log = settings.home / "web.log"
    with running(settings, "-m", "web", log=log):
        found = eventually(lambda: re.search(r"http://[\d.]+:\d+", log.read_text()))
        assert found is not None
        yield found[0]
    assert "Traceback" not in log.read_text()


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that descends from it."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait()
