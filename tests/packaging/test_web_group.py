"""The image of the page, without an engine to build it: its group, the wheel without dependencies, and a start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.packaging.support import PIP
from tests.support import ROOT, eventually

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "bitsandbytes", "accelerate")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def web_environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The `bin` folder of an environment that holds what the image of the page holds."""
    folder = tmp_path_factory.mktemp("web")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    bin_folder = folder / "bin"
    install = [*PIP, "--python", str(bin_folder / "python"), "install"]
    subprocess.run([*install, "-c", "constraints.txt", "--group", "web"], cwd=ROOT, check=True)
    subprocess.run([*install, "--no-deps", str(wheel)], check=True)
    return bin_folder


def test_the_page_runs_where_no_torch_is(
    web_environment: Path, tmp_path: Path, redis_server: str, redis_prefix: str
) -> None:
    environment = _environment(tmp_path, redis_server, redis_prefix)
    look = f"import importlib.util as util; print(*[name for name in {HEAVY!r} if util.find_spec(name)])"
    found = subprocess.run([web_environment / "python", "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
    migrated = subprocess.run(
        [web_environment / "workbench", "migrate"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stderr
    with _page(web_environment, tmp_path, environment) as address:
        status, body = _get(address, "/")
        assert status == 200
        assert "gradio" in body.lower()


@contextmanager
def _page(bin_folder: Path, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """`workbench web`, and the address at which it says that it is well."""
    log = folder / "web.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [bin_folder / "workbench", "web"], cwd=folder, env=environment, stdout=out, stderr=out
        )
    try:
        address = eventually(lambda: _answering(process, log))
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _answering(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.poll() is None, log.read_text()
    for listener in psutil.Process(process.pid).net_connections("tcp"):
        address = f"http://127.0.0.1:{listener.laddr.port}"
        if listener.status == psutil.CONN_LISTEN and _get(address, "/healthz")[0] == 200:
            return address
    return ""


def _get(address: str, path: str) -> tuple[int, str]:
    """Status and body; (0, "") where nothing answers."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def _environment(folder: Path, redis_url: str, redis_prefix: str) -> dict[str, str]:
    """Without anything of the environment that the tests run in: no PYTHONPATH, no settings."""
    ours = {"HOME": str(folder / "home"), "REDIS_URL": redis_url, "REDIS_PREFIX": redis_prefix, "PORT": "0"}
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {f"WORKBENCH_{name}": value for name, value in ours.items()}
