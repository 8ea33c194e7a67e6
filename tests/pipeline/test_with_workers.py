"""Pipelines with real worker processes: steps that hand on, fail, are killed, and go on."""

from __future__ import annotations

from typing import Any

from core.client import Workbench
from core.settings import Settings
from core.states import State
from tests.queue.test_life import ended, worker


def step(name: str, kind: str = "make", **fields: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "fields": {"text": name, **fields}}


def made(settings: Settings, workbench: Workbench, job_id: str) -> str:
    artifact = workbench.show(job_id).artifacts[0]
    return (settings.home / "artifacts" / artifact.id / "made.txt").read_text()


def test_each_step_takes_what_the_one_before_has_made(settings: Settings, workbench: Workbench) -> None:
    steps = [step("a"), step("b", source="@a"), step("c", sources=["model:@a,label=x", "@b"])]
    with worker(settings, "batch"):
        done = ended(workbench, workbench.submit("pipeline", {"steps": steps}))
    assert done.state is State.SUCCEEDED, done
    assert done.result is not None
    last = done.result["steps"][-1]
    assert (last["state"], last["headline"]) == ("succeeded", "It made aabc.")
    assert made(settings, workbench, last["job_id"]) == "aabc"
    assert workbench.show(last["job_id"]).step == "c"
