"""A reward made by a real worker: killed on the way, proven at the end, and read by its id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.catalog import resolve
from core.cli_printers import printer_of
from core.client import Workbench
from core.errors import BadInput
from core.states import State
from core.values import ArtifactKind, Job
from tests.llm.training.door import make_model
from tests.llm.training.rewards import QUICK, write_labelled
from tests.queue.test_life import worker
from tests.queue.test_sft import ended, kill_all, losses, one_thread, until_step
from tests.support import workbench_of

__all__ = ["one_thread"]
LONG: dict[str, Any] = QUICK | {"max_steps": 120, "eval_steps": 40, "save_steps": 20, "learning_rate": 0.002}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Workbench]:
    with workbench_of(tmp_path_factory.mktemp("home"), redis_server) as opened:
        yield opened


def test_a_reward_outlives_its_worker_and_is_proven_found_and_said(client: Workbench, tmp_path: Path) -> None:
    model, data = make_model(tmp_path / "tiny"), write_labelled(tmp_path / "rows.jsonl")
    job = client.submit("reward", LONG | {"model": model, "data": data})
    with worker(client.settings, "batch") as first:
        until_step(client, job, 40)
        kill_all(first.pid)
    with worker(client.settings, "batch"):
        done = ended(client, job)
    assert done.state is State.SUCCEEDED, done.error
    result = done.result or {}
    assert result["is_proven"]
    assert result["accuracy"]["value"] == 1.0
    assert result["resumed_at"][0] >= 20
    assert sorted(losses(client, job)) == list(range(1, 121))
    (reward,) = done.artifacts
    assert reward.kind is ArtifactKind.REWARD
    assert resolve(reward.id, client.settings.home).folder.is_dir()
    said = _printed(done)
    assert "Loaded again from its files" in said
    assert "proven: loaded again" in said
    assert "positive" in said


def test_what_a_reward_cannot_be_is_refused_before_it_waits(client: Workbench) -> None:
    with pytest.raises(BadInput, match="cannot be merged into"):
        client.submit("reward", {"dtype": "nf4"})


def _printed(job: Job) -> str:
    printer = printer_of("reward")
    assert printer
    return printer.result(job) or ""
