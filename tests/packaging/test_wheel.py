"""What the wheel holds, and that the group of the page is a part of what everything needs."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BASE = {canonicalize_name(one.name): one for one in map(Requirement, PROJECT["project"]["dependencies"])}
GROUPS = {
    name: {canonicalize_name(one.name): one for one in map(Requirement, lines)}
    for name, lines in PROJECT["dependency-groups"].items()
}
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "bitsandbytes", "accelerate"}
PACKAGES = ("core", "web", "worker", "migrations")
FILES = {".py", ".json", ".html", ".css", ".js", ".svg", ".mako", ".woff2", ".png", ".ico"}


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_its_packages(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in FILES and "__pycache__" not in path.parts
    }
    assert not ours - held
    assert any(name.startswith("migrations/versions/0001") for name in held)
    assert any(name.startswith("web/ui/") for name in held)
    assert any(name.startswith("web/templates/") for name in held)


@pytest.mark.slow
def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_page_needs_a_part_of_what_everything_needs() -> None:
    assert not GROUPS["web"].keys() - BASE.keys()
    assert not GROUPS["web"].keys() & HEAVY
    assert {name: one.extras for name, one in GROUPS["web"].items()} == {
        name: BASE[name].extras for name in GROUPS["web"]
    }


def test_ranges_are_said_once() -> None:
    assert not [str(one) for one in GROUPS["web"].values() if one.specifier]


def test_everything_that_is_asked_for_has_a_tested_version() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned: dict[str, Requirement] = {canonicalize_name(one.name): one for one in map(Requirement, lines)}
    for name, asked in (BASE | GROUPS["dev"]).items():
        (version,) = pinned[name].specifier
        assert version.operator == "=="
        assert asked.specifier.contains(version.version), f"{pinned[name]} is not in {asked}"
    assert "+" not in str(pinned["torch"]), "a local version is not to be had everywhere"
