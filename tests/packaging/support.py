"""What is built of the repository to be tested: its wheel, without a trace left in the working tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

WHAT_A_WHEEL_NEEDS = (
    "pyproject.toml",
    "constraints.txt",
    "README.md",
    "LICENSE",
    "core",
    "web",
    "worker",
    "migrations",
)
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def build_wheel(folder: Path) -> Path:
    """The wheel of the tree as it is now. It is built from a copy: an old `build` folder would end up in it."""
    source = folder / "source"
    source.mkdir()
    for name in WHAT_A_WHEEL_NEEDS:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    constraints = ["--build-constraint", str(source / "constraints.txt")]
    command = [*PIP, "wheel", "--no-deps", *constraints, "--wheel-dir", str(folder / "wheels"), str(source)]
    subprocess.run(command, check=True)
    (wheel,) = (folder / "wheels").iterdir()
    return wheel
