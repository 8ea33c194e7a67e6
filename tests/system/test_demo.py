"""The demo's own promise: a step that fails ends it with a reason and another code. CI runs the demo itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from core import demo
from core.errors import SetupError


def test_a_step_that_fails_ends_the_demo_with_its_reason_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    homes: list[Path] = []

    def look(stage: demo.Stage) -> None:
        """Look at the throwaway home."""
        homes.append(stage.home)

    def fail(stage: demo.Stage) -> None:
        """Fail."""
        raise SetupError("it was to fail")

    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setattr(demo, "STEPS", (look, fail, look))
    assert demo.main() == 1
    assert "failed at `fail`: it was to fail" in capsys.readouterr().err
    assert len(homes) == 1
    assert not homes[0].exists()
    assert homes[0].is_relative_to(tempfile.gettempdir())


def test_a_command_that_fails_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stage = demo.Stage(tmp_path, {"WORKBENCH_HOME": str(tmp_path)})
    with pytest.raises(SetupError, match="`workbench jobs` ended with 3"):
        stage.workbench("jobs", capture_output=True)
