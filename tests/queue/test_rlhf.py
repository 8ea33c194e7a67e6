"""Reinforcement learning with real workers: killed, paused and cancelled, its curves as if it had not been."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from core.client import Workbench
from core.states import State
from core.values import ArtifactKind, Job
from tests.llm.tiny import keep_classifier
from tests.llm.training.door import make_model, write_rows
from tests.llm.training.test_rlhf import BY_WORDS, QUICK
from tests.queue.test_life import worker
from tests.queue.test_sft import ended, kill_all, losses, one_thread, until_step
from tests.support import eventually, workbench_of

__all__ = ["one_thread"]
LONG: dict[str, Any] = QUICK | {"max_steps": 40, "eval_steps": 5, "save_steps": 5, "rewards": [BY_WORDS]}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Workbench]:
    with workbench_of(tmp_path_factory.mktemp("home"), redis_server) as opened:
        yield opened


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A tiny policy, rows to make prompts of, and a tiny classifier that is watched."""
    folder = tmp_path_factory.mktemp("made")
    judge = keep_classifier(folder / "judge", "llama")
    watched = {"held_out_reward": f"model:{judge},label=positive"}
    return LONG | watched | {"model": make_model(folder / "tiny"), "data": write_rows(folder / "rows.jsonl")}


def test_a_run_that_was_killed_and_paused_equals_one_that_was_not(client: Workbench, fields: dict[str, Any]) -> None:
    whole, job = (client.submit("rlhf", fields) for _ in range(2))
    with worker(client.settings, "batch") as first:
        done = ended(client, whole)
        assert done.state is State.SUCCEEDED, done.error
        until_answered(client, job, 10)
        kill_all(first.pid)
    with worker(client.settings, "batch"):
        until_answered(client, job, 20)
        client.pause(job.id)
        eventually(lambda: client.show(job.id).state is State.HELD, 120)
        client.resume(job.id)
        again = ended(client, job)
    assert again.state is State.SUCCEEDED, again.error
    assert losses(client, again) == losses(client, done)
    of_one, of_other = done.result or {}, again.result or {}
    assert of_other["after"] == of_one["after"]
    assert of_other["tries"] == of_one["tries"]
    assert len(of_other["resumed_at"]) == 2
    assert [one.kind for one in again.artifacts] == [ArtifactKind.ADAPTER]
    assert {"kl", "reward", "held_out_reward"} <= set(client.metrics(job.id)[-1].values) | set(
        client.metrics(job.id)[-2].values
    )


def until_answered(client: Workbench, job: Job, step: int) -> None:
    until_step(client, job, 1)
    eventually(lambda: any(one["step"] >= step for one in (client.show(job.id).result or {})["tries"]), 120)


@pytest.mark.nightly
def test_another_job_goes_on_from_the_checkpoint_of_one_that_was_cancelled_and_a_bad_reward_ends_one(
    client: Workbench, fields: dict[str, Any]
) -> None:
    job = client.submit("rlhf", fields)
    bad = client.submit("rlhf", fields | {"held_out_reward": fields["held_out_reward"].replace("positive", "great")})
    with worker(client.settings, "batch"):
        until_answered(client, job, 10)
        client.cancel(job.id)
        left = ended(client, job)
        assert left.state is State.CANCELLED
        (checkpoint,) = eventually(lambda: client.show(job.id).artifacts)
        assert checkpoint.kind is ArtifactKind.CHECKPOINT
        refused = ended(client, bad)
        other = client.submit("rlhf", fields | {"resume_from": checkpoint.id, "beta": 0.5})
        another = client.submit("rlhf", fields | {"resume_from": checkpoint.id})
        assert "beta is 0.5 here and 0.1 in the checkpoint" in json.dumps(ended(client, other).error, default=str)
        done = ended(client, another)
    assert refused.state is State.FAILED
    assert "no label great" in json.dumps(refused.error, default=str)
    assert done.state is State.SUCCEEDED, done.error
    assert (done.result or {})["step"] == 40
    assert (done.result or {})["resumed_at"]
