"""Pipelines on the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core import cli
from core.cli_printers import printer_of
from core.client import Workbench
from core.settings import Settings
from core.values import Job
from tests.pipeline.hands import CHAIN, Hands, step
from tests.support import environment


@pytest.fixture
def hands(workbench: Workbench, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Hands:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    return Hands(workbench.store, settings.home)


def said(workbench: Workbench, pipeline: str) -> str:
    printer = printer_of("pipeline")
    assert printer is not None
    return str(printer.result(workbench.show(pipeline)))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.run([*arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_a_preset_is_submitted_with_another_value_for_a_step(hands: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    job = run(capsys, "submit", "pipeline", "--preset", "smoke", "--set", "sft.max_steps=7", "--set", "reward.r=4")
    fields = {one["name"]: one["fields"] for one in job["spec"]["steps"]}
    assert (fields["sft"]["max_steps"], fields["reward"]["r"], fields["rlhf"]["model"]) == (7, 4, "@merge")
    assert (job["name"], job["state"]) == ("Every stage in a few steps", "running")
    assert [one["state"] for one in job["result"]["steps"]] == ["queued", "waiting", "queued", "waiting", "waiting"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("sft.max_steps", "gives no value"),
        ("max_steps=7", "names no field of a step"),
        ("sft.max_steps=-1", "sft: max_steps: input should be greater"),
    ],
)
def test_a_change_that_is_none_is_refused(
    hands: Hands, capsys: pytest.CaptureFixture[str], change: str, why: str
) -> None:
    assert cli.run(["submit", "pipeline", "--preset", "smoke", "--set", change]) == 2
    assert why in capsys.readouterr().err


def test_a_held_pipeline_is_resumed_with_another_value_and_started_again(
    hands: Hands, workbench: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = json.dumps(CHAIN)
    pipeline = run(capsys, "submit", "pipeline", "--steps", steps)["id"]
    hands.fail(hands.claim())
    assert cli.run(["submit", "pipeline", "--steps", json.dumps([step("a", seconds=-1)])]) == 2
    assert "a: seconds" in capsys.readouterr().err
    assert run(capsys, "resume", pipeline, "--set", "a.text=x")["state"] == "running"
    assert hands.work() == ["x", "b", "c"]
    again = run(capsys, "restart", pipeline, "--from", "c")
    assert (again["retry_of"], [one["is_reused"] for one in again["result"]["steps"]]) == (
        pipeline,
        [True, True, False],
    )
    assert cli.run(["restart", pipeline, "--from", "z"]) == 2
    assert "there is no step z" in capsys.readouterr().err
    step_id = again["result"]["steps"][0]["job_id"]
    assert cli.run(["restart", step_id]) == 2
    assert "is no pipeline but a make" in capsys.readouterr().err


def test_steps_and_news_are_told_in_lines(hands: Hands, workbench: Workbench) -> None:
    pipeline = hands.submit(*CHAIN)
    before = workbench.show(pipeline)
    hands.succeed(hands.claim())
    told = said(workbench, pipeline)
    assert told.startswith("1 of 3 steps are done.")
    assert "WHAT CAME OF IT" in told
    assert "made a" in told
    printer = printer_of("pipeline")
    assert printer is not None
    now: Job = workbench.show(pipeline)
    assert [line.partition(" · ")[0] for line in printer.news(before, now)] == ["a (make)", "b (make)"]


def test_waiting_for_a_pipeline_that_is_held_ends_with_its_reason(
    hands: Hands, workbench: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = hands.submit(*CHAIN[:1])
    hands.fail(hands.claim())
    from core.cli_wait import hand_over

    assert hand_over(workbench, workbench.show(pipeline), wait=True, as_json=False) == 1
    assert "a: It broke." in capsys.readouterr().err
