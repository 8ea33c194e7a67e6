"""Pipelines with real worker processes: steps that hand on, fail, are killed, and go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.client import Workbench
from core.errors import NoWorker
from core.settings import Settings
from core.states import State
from core.values import Job
from tests.pipeline.hands import step
from tests.queue.test_life import ended, lines, worker
from tests.support import eventually


def step_of(pipeline: Job, name: str) -> dict[str, Any]:
    assert pipeline.result is not None
    return next(one for one in pipeline.result["steps"] if one["name"] == name)


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


def test_a_worker_killed_in_a_step_costs_that_attempt_alone(
    settings: Settings, workbench: Workbench, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    steps = [step("a", log=str(log)), step("b", source="@a", log=str(log), seconds=3), step("c", source="@b")]
    with worker(settings, "batch") as process:
        pipeline = workbench.submit("pipeline", {"steps": steps})
        eventually(lambda: "begin b" in lines(log))
        process.kill()
        process.wait()
    with worker(settings, "batch"):
        done = ended(workbench, pipeline)
    assert done.state is State.SUCCEEDED
    assert lines(log) == ["begin a", "end a", "begin b", "begin b", "end b"]
    assert made(settings, workbench, step_of(done, "c")["job_id"]) == "abc"


def test_a_worker_killed_between_a_step_and_the_next_leaves_nothing_lying(
    settings: Settings, workbench: Workbench, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    steps = [step("a", log=str(log), trouble="kill its worker at the end"), step("b", source="@a", log=str(log))]
    with worker(settings, "batch") as process:
        pipeline = workbench.submit("pipeline", {"steps": steps})
        process.wait(timeout=60)
    assert workbench.show(step_of(workbench.show(pipeline.id), "a")["job_id"]).state is State.SUCCEEDED
    assert workbench.store.stale_pipelines() == [pipeline.id]
    with worker(settings, "batch"):
        assert ended(workbench, pipeline).state is State.SUCCEEDED
    assert lines(log) == ["begin a", "end a", "begin b", "end b"]


def test_a_step_that_fails_is_changed_and_the_pipeline_goes_on(settings: Settings, workbench: Workbench) -> None:
    steps = [step("a"), step("b", source="@a", trouble="raise"), step("c", source="@b")]
    with worker(settings, "batch"):
        pipeline = workbench.submit("pipeline", {"steps": steps})
        *_, last = workbench.watch(pipeline.id)
        assert last.job.state is State.HELD
        assert last.job.error is not None
        assert "b: RuntimeError: it went wrong on purpose" in last.job.error.message
        workbench.resume_pipeline(pipeline.id, {"b.trouble": "", "c.text": "d"})
        done = ended(workbench, pipeline)
    assert (done.state, done.error) == (State.SUCCEEDED, None)
    assert made(settings, workbench, step_of(done, "c")["job_id"]) == "abd"
    assert step_of(done, "b")["round"] == 2


def test_a_cancelled_step_goes_on_from_its_checkpoint_and_a_paused_pipeline_where_it_was(
    settings: Settings, workbench: Workbench, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with worker(settings, "batch"):
        pipeline = workbench.submit("pipeline", {"steps": [step("a", log=str(log), seconds=2)]})
        eventually(lambda: lines(log))
        workbench.cancel(step_of(workbench.show(pipeline.id), "a")["job_id"])
        eventually(lambda: workbench.show(pipeline.id).state is State.HELD)
        workbench.resume(pipeline.id)
        eventually(lambda: "begin a from a checkpoint" in lines(log))
        workbench.pause(pipeline.id)
        eventually(lambda: step_of(workbench.show(pipeline.id), "a")["state"] == "held")
        workbench.resume(pipeline.id)
        assert ended(workbench, pipeline).state is State.SUCCEEDED
    stopped = ["stopped a", "begin a from a checkpoint"]
    assert lines(log) == ["begin a", *stopped, *stopped, "end a"]


def test_a_cancelled_pipeline_stops_its_running_step_and_keeps_what_it_has(
    settings: Settings, workbench: Workbench, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with worker(settings, "batch"):
        steps = [step("a"), step("b", source="@a", log=str(log), seconds=500), step("c", source="@b")]
        pipeline = workbench.submit("pipeline", {"steps": steps})
        eventually(lambda: lines(log))
        workbench.cancel(pipeline.id)
        done = ended(workbench, pipeline)
    assert done.state is State.CANCELLED
    assert [one["state"] for one in done.result["steps"]] == ["succeeded", "cancelled", "waiting"]  # type: ignore[index]
    assert [one["kind"] for one in step_of(done, "b")["artifacts"]] == ["checkpoint"]


def test_a_pipeline_is_started_again_from_a_step_with_another_value(settings: Settings, workbench: Workbench) -> None:
    steps = [step("a"), step("b", source="@a"), step("c", source="@b")]
    with worker(settings, "batch"):
        first = ended(workbench, workbench.submit("pipeline", {"steps": steps}))
        again = ended(workbench, workbench.restart(first.id, "b", {"c.text": "d"}))
    assert again.retry_of == first.id
    assert [one["is_reused"] for one in again.result["steps"]] == [True, False, False]  # type: ignore[index]
    assert made(settings, workbench, step_of(again, "c")["job_id"]) == "abd"


def test_whoever_waits_is_told_that_no_worker_takes_the_step(workbench: Workbench) -> None:
    pipeline = workbench.submit("pipeline", {"steps": [step("a")]})
    with pytest.raises(NoWorker, match="takes batch jobs"):
        list(workbench.watch(pipeline.id))


def test_the_same_prompts_are_answered_after_every_stage(settings: Settings, workbench: Workbench) -> None:
    asked: dict[str, Any] = {"prompts": ["p", "q"]}
    steps = [step("sft", **asked), step("merge", source="@sft"), step("rlhf", model="@merge", **asked)]
    with worker(settings, "batch"):
        done = ended(workbench, workbench.submit("pipeline", {"steps": steps}))
    assert done.result is not None
    assert done.result["answers"]["stages"] == ["base", "sft", "merge", "rlhf"]
    said = ["sft0", "sft5", "rlhf0", "rlhf5"]
    assert done.result["answers"]["rows"] == [{"prompt": one, "completions": said} for one in ("p", "q")]
