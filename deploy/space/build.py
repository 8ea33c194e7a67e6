"""Makes the folder of a public Space: `python deploy/space/build.py FOLDER`, then push that folder to the Space.

It holds what runs and nothing else: the packages, `app.py`, the requirements with tested versions, and the header.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PACKAGES = ("core", "web", "worker", "migrations")
FILES = ("app.py", "LICENSE")
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
GIVEN = frozenset({"gradio"})  # the Space's own SDK brings it, by the version in the header


def build(folder: Path, *, has_card: bool = False) -> None:
    """Fill an empty folder.

    Args:
        has_card: whether the Space has a GPU of its own; else it takes the build of torch without CUDA.

    Raises:
        FileExistsError: there is something in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(path.name != ".git" for path in folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty.")
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=unwanted)
    for name in FILES:
        shutil.copy2(ROOT / name, folder / name)
    pins = _pins()
    lines = [] if has_card else [f"--extra-index-url {CPU_TORCH}"]
    (folder / "requirements.txt").write_text("\n".join([*lines, *_requirements(pins)]) + "\n")
    header = (HERE / "README.md").read_text()
    shown = header.replace("{{ gradio }}", pins["gradio"]).replace("{{ version }}", _version())
    (folder / "README.md").write_text(shown)


def _requirements(pins: dict[str, str]) -> list[str]:
    """What the parts import, each in the version that was tested."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[<>=!; ]", line, maxsplit=1)[0] for line in declared]
    return [f"{name}=={pins[_plain(name.partition('[')[0])]}" for name in names if name not in GIVEN]


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    split = [line.partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {_plain(name): version.partition(";")[0].strip() for name, _, version in split}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version() -> str:
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "core" / "__init__.py").read_text())
    assert found is not None
    return found[1]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--card", action="store_true", help="the Space has a GPU of its own")
    asked = parser.parse_args()
    try:
        build(asked.folder, has_card=asked.card)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"The Space lies in {asked.folder}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
