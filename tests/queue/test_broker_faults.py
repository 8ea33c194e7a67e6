"""The broker dies, forgets or hangs; the row is the outbox, so nothing is lost. Each test has a server of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from core.broker import OwnBroker
from core.client import Workbench
from core.settings import Settings
from core.states import State
from tests.queue.test_life import ended, lines, worker
from tests.support import eventually


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OwnBroker]:
    started = OwnBroker.start(tmp_path / "home" / "run")
    yield started
    started.stop()


@pytest.fixture
def settings(settings: Settings, broker: OwnBroker) -> Settings:
    return settings.model_copy(update={"redis_url": broker.url})


def test_jobs_that_wait_still_run_once_after_redis_was_emptied(
    settings: Settings, workbench: Workbench, broker: OwnBroker, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    jobs = [workbench.submit("quick", {"log": str(log)}) for _ in range(5)]
    redis.Redis.from_url(broker.url).flushall()
    with worker(settings, "interactive"):
        assert {ended(workbench, job).state for job in jobs} == {State.SUCCEEDED}
    assert lines(log).count("end 1") == 5


def test_a_running_job_and_its_viewer_survive_an_emptied_redis(
    settings: Settings, workbench: Workbench, broker: OwnBroker
) -> None:
    text = " ".join(f"word{n}" for n in range(60))
    with worker(settings, "interactive"):
        job = workbench.submit("quick", {"text": text, "seconds": 3})
        seen = []
        for update in workbench.watch(job.id):
            seen.append(update.text)
            if len(seen) == 4:
                redis.Redis.from_url(broker.url).flushall()
        late = "".join(update.text for update in workbench.watch(job.id))
    assert "".join(seen) == late == text + " "


def test_a_viewer_who_comes_after_the_stream_was_emptied_reads_from_the_first_word(
    settings: Settings, workbench: Workbench, broker: OwnBroker
) -> None:
    text = " ".join(f"word{n}" for n in range(60))
    with worker(settings, "interactive"):
        job = workbench.submit("quick", {"text": text, "seconds": 3})
        eventually(lambda: workbench.show(job.id).progress)
        redis.Redis.from_url(broker.url).flushall()
        updates = list(workbench.watch(job.id))
    assert "".join(update.text for update in updates) == text + " "
    assert updates[0].job.state is State.RUNNING


def test_a_worker_goes_on_after_redis_was_restarted_with_jobs_waiting(
    settings: Settings, workbench: Workbench, broker: OwnBroker, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    one_slot = settings.model_copy(update={"slots": 1})
    with worker(one_slot, "interactive"):
        jobs = [workbench.submit("quick", {"log": str(log), "seconds": 1}) for _ in range(4)]
        eventually(lambda: lines(log))
        os.kill(broker.pid or 0, signal.SIGKILL)
        broker.launch()
        assert {ended(workbench, job).state for job in jobs} == {State.SUCCEEDED}
    assert lines(log).count("end 1") == 4


def test_a_submission_does_not_wait_for_a_redis_that_hangs(
    settings: Settings, workbench: Workbench, broker: OwnBroker
) -> None:
    os.kill(broker.pid or 0, signal.SIGSTOP)
    job = workbench.submit("quick", {})  # returns although nobody took the message
    os.kill(broker.pid or 0, signal.SIGCONT)
    with worker(settings, "interactive"):
        assert ended(workbench, job).state is State.SUCCEEDED
