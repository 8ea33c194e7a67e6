"""A whole workbench as a person starts it, in a home of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from core.catalog import STAMP_NAME, builtin_folder, builtin_stamp
from core.ids import new_id
from tests.support import ROOT, eventually

WORKBENCH = Path(sys.executable).with_name("workbench")
MARK = "WB_TEST_MARK"


class House:
    """One home, and the command `workbench` in it. All processes that come of it carry a mark in their environment."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.home = home
        self.mark = new_id()
        self.up: subprocess.Popen[str] | None = None
        self._family: set[psutil.Process] = set()
        self._out = home.with_name(f"{home.name}.out") if len(home.name) < 100 else home.parent / "out"
        given = {"home": home, "port": 0, "preload": 0, "lease_s": 3, "sweep_s": 0.3, "extra_kinds": "tests.kinds"}
        self.settings = {f"WORKBENCH_{name.upper()}": str(value) for name, value in {**given, **settings}.items()}

    def pretend_model(self) -> House:
        """Have the built-in model count as unpacked: what starts and loads nothing needs no weights."""
        folder = builtin_folder(self.home)
        folder.mkdir(parents=True)
        (folder / STAMP_NAME).write_text(json.dumps(builtin_stamp()))
        return self

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
        return clean | self.settings | {"PYTHONPATH": str(ROOT), MARK: self.mark} | dict(more or {})

    def start(self, until: str = "Ready.") -> None:
        """`workbench up`, until it says `until`."""
        with self._out.open("w") as out:
            up = self.up = subprocess.Popen(
                [WORKBENCH, "up"], env=self.environment(), stdout=out, stderr=out, text=True, start_new_session=True
            )
        eventually(lambda: until in self.said() or up.poll() is not None, patience_s=120)
        assert until in self.said(), self.said()
        self.processes()

    def said(self) -> str:
        return self._out.read_text()

    @property
    def address(self) -> str:
        return next(line.split()[1] for line in self.said().splitlines() if line.strip().startswith("Page"))

    def end(self, signum: int = signal.SIGINT) -> int:
        """Send a signal to `up` alone, as the terminal's Ctrl-C does; its exit code."""
        assert self.up is not None
        self.up.send_signal(signum)
        return self.up.wait(30)

    def run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Any other command."""
        return subprocess.run(
            [WORKBENCH, *arguments], env=self.environment(), input=text, capture_output=True, text=True, timeout=120
        )

    def json(self, *arguments: str) -> dict[str, Any]:
        """The one JSON object that a command prints with --json."""
        done = self.run(*arguments, "--json")
        assert len(done.stdout.splitlines()) == 1, done
        return dict(json.loads(done.stdout))

    def processes(self) -> list[psutil.Process]:
        """What lives of all that was started here: what carries the mark, and what descended from `up`.

        A Valkey writes its title over its environment, so that the mark alone would not find it.
        """
        if self.up and self.up.poll() is None:
            self._family |= set(psutil.Process(self.up.pid).children(recursive=True))
        marked = {process for process in psutil.process_iter() if self._is_marked(process)}
        return [process for process in marked | self._family if _lives(process)]

    def kill(self) -> None:
        """`kill -9` of everything."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.up:
            self.up.wait()
        eventually(lambda: not self.processes())

    def leftovers(self) -> list[str]:
        """Locks, sockets and addresses."""
        found = [path for path in (self.home / "run").iterdir() if not path.is_dir()]
        return [f"{path.name} {stat.filemode(path.stat().st_mode)}" for path in found]

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return bool(process.environ().get(MARK) == self.mark)
        except psutil.Error:
            return False


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
