"""The Space's folder, started from nothing but its own files, as a user without rights."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.client import Workbench
from core.settings import Settings
from core.states import State
from tests.support import ROOT, eventually, kill_tree

NOBODY = 65534


def _build() -> Any:
    spec = importlib.util.spec_from_file_location("build_space", ROOT / "deploy" / "space" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The Space's folder, which nobody may write."""
    made = tmp_path / "space"
    _build().build(made)
    return made


def test_it_holds_what_runs_with_tested_versions_and_a_header(folder: Path) -> None:
    header = (folder / "README.md").read_text().split("---")[1]
    fields = dict(line.split(": ", 1) for line in header.strip().splitlines())
    assert (fields["sdk"], fields["app_file"]) == ("gradio", "app.py")
    assert "{{" not in header
    needed = (folder / "requirements.txt").read_text().splitlines()
    assert needed[0] == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert all(re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", line) for line in needed[1:])
    assert f"gradio=={fields['sdk_version']}" in (ROOT / "constraints.txt").read_text()
    names = {path.name for path in folder.iterdir()}
    assert names == {"app.py", "core", "web", "worker", "migrations", "LICENSE", "README.md", "requirements.txt"}
    assert not list(folder.rglob("__pycache__"))
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 12e6


def test_a_folder_that_holds_something_is_left_alone(folder: Path) -> None:
    with pytest.raises(FileExistsError, match="is not empty"):
        _build().build(folder)


@pytest.fixture
def started(folder: Path, models_home: Path, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """`python app.py` in that folder: its home, and where its page is."""
    home = tmp_path / "home"
    models = home / "workbench" / "models"
    shutil.copytree(models_home / "models", models, copy_function=_linked)
    log = tmp_path / "log"
    gives_up_rights = _can_run_as_nobody()
    if gives_up_rights:
        for path in (home, *home.rglob("*")):
            if path.is_dir():
                os.chown(path, NOBODY, NOBODY)
        for above in (tmp_path, *tmp_path.parents):
            if above.is_dir() and above.stat().st_uid == 0 and above != Path("/"):
                above.chmod(above.stat().st_mode | 0o011)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "WORKBENCH_PORT": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    rights: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if gives_up_rights else {}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
            **rights,
        )
        try:
            found = eventually(lambda: re.search(r"Page\s+http://\S+:(\d+)", log.read_text()), 180)
            assert found is not None
            eventually(lambda: "Ready." in log.read_text() or process.poll() is not None, 300)
            assert process.poll() is None, log.read_text()
            yield home / "workbench", f"http://127.0.0.1:{found[1]}"
        finally:
            kill_tree(process)


def _can_run_as_nobody() -> bool:
    """Whether we may become somebody without rights who can still reach this Python."""
    if os.getuid() != 0:
        return False
    try:
        return subprocess.run([sys.executable, "-c", ""], user=NOBODY, group=NOBODY, extra_groups=[]).returncode == 0
    except OSError:
        return False


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def test_a_stranger_is_answered_and_nothing_is_written_beside_the_home(
    started: tuple[Path, str], folder: Path, tmp_path: Path
) -> None:
    import httpx

    home, page = started
    before = {path: path.stat().st_mtime for path in folder.rglob("*")}
    with httpx.Client(base_url=page, follow_redirects=False) as browser:
        answer = browser.get("/")
        assert answer.status_code == 200
        assert "visitor-" in answer.headers["set-cookie"]
        assert "This is closed on a public page." in browser.get("/train").text
    settings = Settings(home=home, mode="public", secret="x" * 40, redis_url=(home / "run" / "redis.url").read_text())
    bench = Workbench.open(settings)
    job = bench.submit("generate", {"prompt": "Why is the sky blue?", "max_new_tokens": 8, "temperature": 0})
    eventually(lambda: bench.show(job.id).state.is_finished, 300)
    done = bench.show(job.id)
    assert done.state is State.SUCCEEDED, done.error
    bench.close()
    assert {path: path.stat().st_mtime for path in folder.rglob("*")} == before
    assert {path.name for path in (tmp_path / "home").iterdir()} <= {"workbench", ".cache", ".config", ".triton"}
