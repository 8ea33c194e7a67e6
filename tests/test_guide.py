"""What CONTRIBUTING and README show works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from core.cli import workbench as command
from core.client import Workbench
from core.settings import Settings
from tests.support import ROOT, environment, eventually, kill_tree


def _blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)


def test_the_kind_in_the_guide_runs(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (module,) = _blocks("CONTRIBUTING.md", "python")
    (tmp_path / "count_words.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = settings.model_copy(update={"extra_kinds": "count_words"})
    opened = Workbench.open(settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "interactive"], env=environment(settings, {"PYTHONPATH": str(tmp_path)})
    )
    try:
        job = opened.submit("count", {"text": "one two\nthree"})
        eventually(lambda: opened.show(job.id).state.is_finished)
        ended = opened.show(job.id)
    finally:
        kill_tree(process)
        opened.close()
        sys.modules.pop("count_words", None)
    assert ended.result == {"words": 3}
    assert [(one.name, one.value) for one in ended.measurements] == [("words", 3)]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_target_of_make_that_is_shown_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        word for line in re.findall(r"\bmake ((?:[a-z]+ ?)+)", "\n".join(_blocks(name, "sh"))) for word in line.split()
    }
    assert shown
    assert shown <= targets


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_command_that_is_shown_exists(name: str) -> None:
    lines = re.findall(r"\bworkbench ([a-z].*?)(?:\s+#|$)", "\n".join(_blocks(name, "sh")), re.MULTILINE)
    assert lines
    for line in lines:
        words = line.split()
        assert words[0] in command.commands, line
        if words[0] == "submit" and words[1] == "generate":
            context = click.Context(command)
            submit = command.commands["submit"]
            assert isinstance(submit, click.Group)
            chosen = submit.get_command(context, "generate")
            assert chosen is not None
            known = {flag for option in chosen.params for flag in option.opts}
            assert {word for word in words if word.startswith("--")} <= known, line


def test_every_file_that_is_linked_exists() -> None:
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
