from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.access import Who
from core.cli import run
from core.client import Workbench
from core.errors import BadInput, NotFound
from core.store.claims import Kept
from core.values import Job, Visibility
from tests.training.test_tensorboard import expected, points
from tests.web import trainings


def trained(workbench: Workbench, step: int = 20, visibility: Visibility = Visibility.TEAM) -> Job:
    job = workbench.submit("sft", {}, name="films / again", visibility=visibility)
    assert workbench.store.claim("batch", "w", 60)
    workbench.store.keep(job.id, 1, Kept(metrics=trainings.metrics(step)))
    return job


@pytest.fixture
def at_home(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """The command line finds the same workbench."""
    for name in ("home", "redis_url", "redis_prefix"):
        monkeypatch.setenv(f"WORKBENCH_{name.upper()}", str(getattr(workbench.settings, name)))
    return workbench


def test_curves_are_shown_in_short_and_written_for_tensorboard(
    at_home: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = trained(at_home)
    assert run(["curves", job.id, "--tensorboard", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    (path,) = (tmp_path / "runs" / f"films-again-{job.id[-6:]}").iterdir()
    assert str(path) in said
    assert points(path.read_bytes()) == expected(list(at_home.metrics(job.id)))
    line = next(line for line in said.splitlines() if line.startswith("machine/memory_bytes"))
    assert line.split() == ["machine/memory_bytes", "20", "1.22", "GB", "1.20", "GB", "1.22", "GB", "20"]


def test_a_program_gets_the_curves_as_one_object(at_home: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    job = trained(at_home)
    assert run(["curves", job.id[-8:], "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["job"], said["tensorboard"]) == (job.id, None)
    loss = [trainings.loss_at(step) for step in range(1, 21)]
    found = said["curves"]["train/loss"]
    assert found == {"step": 20, "last": loss[-1], "least": min(loss), "most": max(loss), "n": 20}
    assert said["curves"]["eval/loss"]["n"] == 2


def test_a_job_without_curves_and_a_folder_that_is_a_file_are_bad_input(
    at_home: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queued = at_home.submit("sft", {})
    assert run(["curves", queued.id]) == 2
    assert "has logged no curves" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    at_home.cancel(queued.id)
    with pytest.raises(BadInput, match="cannot be written"):
        at_home.write_curves(trained(at_home).id, tmp_path / "file" / "below")


def test_curves_of_a_private_job_are_its_owner_s(workbench: Workbench, tmp_path: Path) -> None:
    job = trained(workbench, visibility=Visibility.PRIVATE)
    with pytest.raises(NotFound):
        workbench.acting_for(Who("ben")).write_curves(job.id, tmp_path)
    assert list(tmp_path.glob("*films*")) == []
