"""`workbench cards` and `workbench drain`, as a terminal and as a program read them."""

from __future__ import annotations

import json

import pytest

from core.cli import run
from core.client import Workbench
from tests.support import environment
from tests.web.shelf import WORKER, fill, held


@pytest.fixture(autouse=True)
def _here(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(workbench.settings).items():
        monkeypatch.setenv(name, value)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(arguments) == 0
    return capsys.readouterr().out


def test_the_cards_are_shown_with_what_holds_runs_and_waits(
    workbench: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(workbench)
    jobs = [workbench.submit("generate", {"prompt": prompt}).id for prompt in ("first words", "second words")]
    workbench.store.claim("interactive", WORKER, 600)
    workbench.store.report_holdings(WORKER, [held(users=(jobs[0],))])
    page = said(capsys, "cards")
    for shown in (
        "NVIDIA T4 in atlas",
        "1 of 4 places taken",
        "first words",
        "second words",
        "1 interactive job waits",
        "9.20 GB free of 15.60 GB",
        "467.00 MB",
    ):
        assert shown in page, page
    assert f"{jobs[0][-6:]} of me" in page
    found = json.loads(said(capsys, "cards", "--json"))
    assert found["cards"][0]["running"][0]["job"]["id"] == jobs[0]
    assert found["lines"][0]["waiting"][0]["job"]["id"] == jobs[1]
    assert "/srv/wb" not in json.dumps(found)  # the key of a holding holds a path


def test_without_a_worker_it_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "`workbench up` starts one" in said(capsys, "cards")


def test_a_worker_is_drained_and_let_in_again(workbench: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    fill(workbench)
    assert "takes nothing more" in said(capsys, "drain", "atlas")
    assert workbench.workers()[0].is_drain_requested
    assert "drained: it takes nothing more" in said(capsys, "cards")
    assert "takes jobs again" in said(capsys, "drain", WORKER, "--undo")
    assert not workbench.workers()[0].is_drain_requested


def test_a_worker_that_is_not_there_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["drain", "nobody"]) == 2
    assert "No worker 'nobody' lives." in capsys.readouterr().err


def test_a_job_too_many_is_bad_input_in_a_sentence(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_MOST_QUEUED", "1")
    workbench.submit("generate", {"prompt": "x"})
    assert run(["submit", "generate", "--prompt", "y"]) == 2
    error = capsys.readouterr().err
    assert "You have 1 job that waits or runs, the most at once." in error
    assert "workbench jobs --state queued" in error
