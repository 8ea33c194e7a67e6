"""`workbench models` beside a real worker: its table, its JSON, and what may stay in memory."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from core.client import Workbench
from core.settings import Settings
from tests.catalog.making import make_adapter, make_folder
from tests.queue.test_life import worker
from tests.support import ROOT, environment, eventually
from tests.system.house import WORKBENCH


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [WORKBENCH, *arguments], cwd=ROOT, env=environment(settings), capture_output=True, text=True, check=False
    )


def test_what_a_worker_has_is_a_table_or_one_object(settings: Settings, workbench: Workbench) -> None:
    make_folder(settings.home / "models" / "mine")
    make_folder(settings.home / "models" / "old", weights="pytorch_model.bin")
    make_adapter(settings.home / "models" / "tuned", "mine")
    with worker(settings, "interactive"):
        eventually(lambda: {"mine", "old", "tuned"} <= {found.info.name for found in workbench.models()})
        said = command(settings, "models")
        assert said.returncode == 0, said.stderr
        lines = {line.split()[0]: line for line in said.stdout.splitlines() if line.strip()}
        assert lines["mine"].split()[1:6] == ["causal", "0.0", "MB", "100", "float32"]
        assert "adapter of mine" in lines["tuned"]
        assert "`workbench submit convert --model old` does it." in said.stdout
        assert "None is in memory." in said.stdout
        found = json.loads(command(settings, "models", "--json").stdout)
        mine = next(each for each in found["models"] if each["name"] == "mine")
        assert (mine["parameters"], mine["licence"], mine["context_length"]) == (100, "mit", 128)
        assert found["in_memory"] == []


def test_a_model_that_is_not_in_memory_cannot_be_unloaded_or_pinned(settings: Settings, workbench: Workbench) -> None:
    for name in ("unload", "pin", "unpin"):
        done = command(settings, name, "nothing")
        assert (done.returncode, done.stdout) == (2, "")
        assert "'nothing'" in done.stderr
        assert "Traceback" not in done.stderr


def test_without_a_worker_the_list_says_so(settings: Settings, workbench: Workbench) -> None:
    assert "No living worker" in command(settings, "models").stdout


def test_a_resident_model_is_shown_pinned_and_let_go(
    settings: Settings, workbench: Workbench, models_home: Path
) -> None:
    (settings.home / "models").symlink_to(models_home / "models")
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    with worker(settings, "interactive"):
        workbench.submit("generate", {"prompt": "Hello", "max_new_tokens": 2})
        eventually(lambda: [one for one in workbench.holdings() if not one.is_loading and not one.users])
        assert f"{name}  " in command(settings, "models").stdout.partition("IN MEMORY")[2]
        assert "stays in memory" in command(settings, "pin", name).stdout
        assert f"{name} (pinned)" in command(settings, "models").stdout
        assert "may go" in command(settings, "unpin", name).stdout
        assert "goes as soon as" in command(settings, "unload", name).stdout
        eventually(lambda: not workbench.holdings())
        assert "None is in memory." in command(settings, "models").stdout
