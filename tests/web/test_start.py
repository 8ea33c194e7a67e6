from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect

from core.settings import Settings
from tests.support import ROOT, environment, eventually, running
from web import __main__ as start

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "bitsandbytes", "accelerate")


def test_the_web_side_imports_nothing_of_the_models_side() -> None:
    script = (
        "import sys, web.app, web.__main__\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], 'worker' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[] False"


def test_it_stops_in_good_order_with_sockets_open(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with running(settings, "-m", "web", log=log) as process:
        found = eventually(lambda: re.search(r"http://([\d.]+:\d+)", log.read_text()))
        assert found is not None
        with connect(f"ws://{found[1]}/ws/jobs?bar=true") as viewer:
            assert "no worker" in str(viewer.recv())
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("what", ["port", "address", "tables"])
def test_a_failed_start_is_one_sentence_that_says_what_to_do(
    settings: Settings, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start, "WAIT_FOR_TABLES_S", 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        changed = {
            "port": {"port": taken.getsockname()[1]},
            "address": {"host": "192.0.2.1", "mode": "team", "secret": "x" * 40},
            "tables": {"database_url": "postgresql://nobody@127.0.0.1:1/none"},
        }[what]
        for name, value in environment(settings.model_copy(update=changed)).items():
            monkeypatch.setenv(name, value)
        assert start.main() == start.FAILED_START
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert ("WORKBENCH_PORT" if what != "tables" else "does not answer") in said[0]
