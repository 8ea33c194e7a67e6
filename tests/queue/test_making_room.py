"""A card for one model alone: what trains on it makes room for whoever waits, and goes on when they have run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from core.client import Workbench
from core.states import State
from core.values import Job
from tests.llm.tiny import tiny_model, word_tokenizer
from tests.queue.test_life import ended, worker
from tests.queue.test_residency import MILLION, WIDE, load
from tests.support import eventually, workbench_of

SOON_MIN = 0.02


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two models of about 60 MB in float32."""
    folders = {}
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp("models") / name
        tiny_model("llama", **WIDE).save_pretrained(folder)
        word_tokenizer().save_pretrained(folder)
        folders[name] = str(folder)
    return folders


def roomy(home: Path, redis: str, **given: Any) -> AbstractContextManager[Workbench]:
    """With room for one model and some work."""
    return workbench_of(home, redis, **{"memory_bytes": 110 * MILLION, "extra_kinds": "tests.kinds", **given})


@pytest.fixture
def client(tmp_path: Path, redis_server: str) -> Iterator[Workbench]:
    with roomy(tmp_path / "home", redis_server, yield_after_min=SOON_MIN) as opened:
        yield opened


def patient(client: Workbench, model: str, **fields: Any) -> Job:
    return client.submit("patient", {"model": model, "dtype": "float32", **fields})


def endless(client: Workbench, model: str, until: Path) -> Job:
    """One that works until there is this file, however slow the machine is."""
    return patient(client, model, steps=100_000, until=str(until))


def working(client: Workbench, job: Job) -> Job:
    """Once its model is loaded."""

    def found() -> Job | None:
        now = client.show(job.id)
        return now if now.progress and now.progress.message == "working" else None

    return eventually(found) or job


def given_back(client: Workbench, job: Job) -> list[str]:
    return [event.data["reason"] for event in client.events(job.id) if event.kind == "given_back"]


@pytest.mark.nightly
def test_a_run_makes_room_for_who_waits_and_goes_on_by_itself(client: Workbench, models: dict[str, str]) -> None:
    enough = client.settings.home / "enough"
    with worker(client.settings, "interactive"), worker(client.settings, "batch"):
        training = working(client, endless(client, models["first"], enough))
        question = load(client, models["second"])
        assert ended(client, question).state is State.SUCCEEDED
        assert not client.show(training.id).state.is_finished
        enough.touch()
        done = ended(client, training)
    assert done.state is State.SUCCEEDED
    assert given_back(client, training) == ["yielded"]
    assert (done.result or {})["first_step"] > 0
    assert [one.outcome for one in client.attempts(training.id)] == ["given_back", "succeeded"]


def test_it_waits_as_long_as_they_do_and_says_for_whom_while_other_jobs_run(
    client: Workbench, models: dict[str, str]
) -> None:
    enough = client.settings.home / "enough"
    with worker(client.settings, "interactive") as interactive, worker(client.settings, "batch"):
        training = working(client, endless(client, models["first"], enough))
        question = load(client, models["second"])
        eventually(lambda: client.show(question.id).waiting_reason)
        os.kill(interactive.pid, signal.SIGSTOP)
        try:
            reason = eventually(lambda: client.show(training.id).waiting_reason)
            second = patient(client, models["first"], steps=1)
            assert ended(client, client.submit("long", {})).state is State.SUCCEEDED
            assert client.show(training.id).state is client.show(second.id).state is State.QUEUED
        finally:
            os.kill(interactive.pid, signal.SIGCONT)
        assert ended(client, question).state is State.SUCCEEDED
        enough.touch()
        assert ended(client, training).state is ended(client, second).state is State.SUCCEEDED
    assert reason == f"Makes room for job {question.id[-6:]}, which waits for memory"


@pytest.mark.nightly
def test_nothing_makes_room_unless_it_is_set_up_so(tmp_path: Path, redis_server: str, models: dict[str, str]) -> None:
    with (
        roomy(tmp_path, redis_server) as client,
        worker(client.settings, "interactive"),
        worker(client.settings, "batch"),
    ):
        training = working(client, patient(client, models["first"], steps=100))
        question = load(client, models["second"])
        assert ended(client, question).state is State.SUCCEEDED
        assert client.show(training.id).state is State.SUCCEEDED
    assert given_back(client, training) == []
