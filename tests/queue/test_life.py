"""A job's life with real worker processes, a real Redis and a real database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from core.client import Workbench
from core.settings import Settings
from core.states import State
from core.values import Job
from tests.support import eventually, running


@contextmanager
def worker(settings: Settings, queue: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that has reported itself."""
    workbench = Workbench.open(settings)
    known = {info.id for info in workbench.workers()}
    with running(settings, "-m", "worker", queue) as process:
        eventually(lambda: {info.id for info in workbench.workers() if info.pid == process.pid} - known)
        yield process
    workbench.close()


def in_state(workbench: Workbench, job: Job, *states: State) -> Job:
    return eventually(lambda: (found := workbench.show(job.id)).state in states and found)  # type: ignore[return-value]


def ended(workbench: Workbench, job: Job) -> Job:
    return eventually(lambda: (found := workbench.show(job.id)).state.is_finished and found)  # type: ignore[return-value]


def stop_outside_a_write(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    """SIGSTOP while nobody else can write: a process asleep within its write would hold the lock for ever."""
    lock = sqlite3.connect(settings.database_url.removeprefix("sqlite:///"), timeout=60, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    os.kill(process.pid, signal.SIGSTOP)
    lock.execute("ROLLBACK")
    lock.close()


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture(params=["quick", "long"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both sides: in a thread beside others, and alone in a process of its own."""
    return str(request.param)


@pytest.fixture
def queue(kind: str) -> str:
    return {"quick": "interactive", "long": "batch"}[kind]


def test_a_job_is_run_and_its_result_kept(settings: Settings, workbench: Workbench, kind: str, queue: str) -> None:
    with worker(settings, queue) as process:
        job = ended(workbench, workbench.submit(kind, {"text": "one two three"}))
    assert job.state is State.SUCCEEDED
    assert job.result is not None
    assert job.result["text"] == "one two three "
    assert (job.result["pid"] == process.pid) is (kind == "quick")
    assert [event.kind for event in workbench.events(job.id)] == ["queued", "claimed", "succeeded"]


def test_whoever_watches_reads_every_word_once(settings: Settings, workbench: Workbench, kind: str, queue: str) -> None:
    with worker(settings, queue):
        text = "a b c d e f g h"
        job = workbench.submit(kind, {"text": text, "seconds": 0.8})
        updates = list(workbench.watch(job.id))
    assert "".join(update.text for update in updates) == text + " "
    assert updates[-1].job.state is State.SUCCEEDED
    assert len([update for update in updates if update.text]) > 2


def test_a_job_that_raises_fails_with_its_traceback_and_the_worker_goes_on(
    settings: Settings, workbench: Workbench, kind: str, queue: str
) -> None:
    with worker(settings, queue):
        job = ended(workbench, workbench.submit(kind, {"trouble": "raise"}))
        assert ended(workbench, workbench.submit(kind, {})).state is State.SUCCEEDED
    assert job.state is State.FAILED
    assert job.error is not None
    assert "on purpose" in job.error.message
    assert "RuntimeError" in str(workbench.attempts(job.id)[0].traceback)


def test_a_running_job_that_is_cancelled_keeps_what_it_has(
    settings: Settings, workbench: Workbench, kind: str, queue: str
) -> None:
    with worker(settings, queue):
        job = workbench.submit(kind, {"text": "kept", "seconds": 500})
        eventually(lambda: workbench.show(job.id).progress)
        workbench.cancel(job.id)
        job = ended(workbench, job)
    assert job.state is State.CANCELLED
    assert job.result is not None
    assert job.result["text"] == "kept "
    assert [m.name for m in job.measurements] == ["steps"]


def test_a_worker_killed_in_the_middle_loses_nothing_and_runs_nothing_twice(
    settings: Settings, workbench: Workbench, kind: str, queue: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    job = workbench.submit(kind, {"seconds": 3, "log": str(log)})
    with worker(settings, queue) as process:
        eventually(lambda: lines(log))
        process.kill()
        process.wait()
    with worker(settings, queue):
        done = ended(workbench, job)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 2)
    assert lines(log) == ["begin 1", "begin 2", "end 2"]
    assert [event.kind for event in workbench.events(job.id)] == ["queued", "claimed", "lost", "claimed", "succeeded"]


def test_sigterm_in_the_middle_gives_the_job_back(
    settings: Settings, workbench: Workbench, kind: str, queue: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    job = workbench.submit(kind, {"seconds": 500, "log": str(log)})
    with worker(settings, queue) as process:
        eventually(lambda: lines(log))
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    assert workbench.show(job.id).state is State.QUEUED
    assert lines(log) == ["begin 1", "stopped 1"]
    assert [event.kind for event in workbench.events(job.id)] == ["queued", "claimed", "given_back"]
    assert workbench.workers() == []


def test_sigterm_lets_a_short_job_finish(settings: Settings, workbench: Workbench, tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = workbench.submit("quick", {"seconds": 1, "log": str(log)})
    with worker(settings, "interactive") as process:
        eventually(lambda: lines(log))
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    assert workbench.show(job.id).state is State.SUCCEEDED


def test_a_message_delivered_twice_runs_the_job_once(settings: Settings, workbench: Workbench, tmp_path: Path) -> None:
    from core.queue import make_app, send

    log = tmp_path / "log"
    job = workbench.submit("quick", {"log": str(log)})
    app = make_app(settings.redis, settings.redis_prefix)
    assert all(send(app, "interactive", job.id) for _ in range(3))
    with worker(settings, "interactive"):
        ended(workbench, job)
        ended(workbench, workbench.submit("quick", {}))
    assert lines(log) == ["begin 1", "end 1"]


def test_a_batch_job_is_killed_with_all_that_it_started(
    settings: Settings, workbench: Workbench, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    job = workbench.submit("long", {"seconds": 500, "log": str(log), "trouble": "grandchild"})
    with worker(settings, "batch"):
        grandchild = eventually(lambda: [int(line.split()[1]) for line in lines(log) if line.startswith("grandchild")])[
            0
        ]
        eventually(lambda: workbench.show(job.id).progress)
        workbench.cancel(job.id)
        assert ended(workbench, job).state is State.CANCELLED
        eventually(lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == "zombie")


def test_a_batch_job_that_will_not_stop_is_killed_after_its_grace(
    settings: Settings, workbench: Workbench, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    strict = settings.model_copy(update={"cancel_grace_s": 0.5})
    job = workbench.submit("long", {"seconds": 500, "log": str(log), "trouble": "stubborn"})
    with worker(strict, "batch"):
        eventually(lambda: workbench.show(job.id).progress)
        workbench.cancel(job.id)
        assert ended(workbench, job).state is State.CANCELLED
        assert ended(workbench, workbench.submit("long", {})).state is State.SUCCEEDED
    assert lines(log) == ["begin 1"]


def test_a_batch_process_that_dies_is_tried_again_and_then_said_to_have_failed(
    settings: Settings, workbench: Workbench, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    job = workbench.submit("long", {"log": str(log), "trouble": "exit"})
    with worker(settings, "batch"):
        job = ended(workbench, job)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error.code == "worker_lost"
    assert lines(log) == ["begin 1", "begin 2", "begin 3"]


def test_a_worker_that_wakes_up_after_it_was_declared_lost_writes_nothing(
    settings: Settings, workbench: Workbench, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    job = workbench.submit("quick", {"seconds": 5, "log": str(log)})
    with worker(settings, "interactive") as sleeper:
        eventually(lambda: lines(log))
        stop_outside_a_write(settings, sleeper)
        with worker(settings, "interactive") as second:
            eventually(lambda: workbench.show(job.id).attempt == 2)
            os.kill(sleeper.pid, signal.SIGCONT)
            done = ended(workbench, job)
        assert ended(workbench, workbench.submit("quick", {})).worker != done.worker  # the sleeper is healthy
    assert done.result is not None
    assert (done.state, done.attempt, done.result["pid"]) == (State.SUCCEEDED, 2, second.pid)
    assert [attempt.outcome for attempt in workbench.attempts(job.id)] == ["lost", "succeeded"]
    assert [event.kind for event in workbench.events(job.id)] == ["queued", "claimed", "lost", "claimed", "succeeded"]


def test_an_artifact_is_kept_and_deleted_with_its_job(settings: Settings, workbench: Workbench) -> None:
    with worker(settings, "batch"):
        job = ended(workbench, workbench.submit("long", {"trouble": "artifact"}))
    artifact = job.artifacts[0]
    folder = settings.home / "artifacts" / artifact.id
    assert ((folder / "report.txt").read_text(), artifact.n_bytes) == ("measured", 8)
    workbench.delete(job.id)
    assert not folder.exists()


def test_both_processes_of_a_worker_start_and_stop_together(settings: Settings, workbench: Workbench) -> None:
    with running(settings, "-m", "worker") as pair:
        eventually(lambda: {info.queue for info in workbench.workers()} == {"interactive", "batch"})
        children = psutil.Process(pair.pid).children()
        pair.send_signal(signal.SIGTERM)
        assert pair.wait(timeout=20) == 0
        assert not any(child.is_running() for child in children)
    assert workbench.workers() == []


def test_a_process_of_a_worker_that_dies_is_started_again(settings: Settings, workbench: Workbench) -> None:
    with running(settings, "-m", "worker"):
        first = eventually(lambda: {i.queue: i.pid for i in workbench.workers()}.get("batch", 0))
        os.kill(first, signal.SIGKILL)
        eventually(lambda: {i.pid for i in workbench.workers() if i.queue == "batch"} - {first})


@pytest.mark.nightly
def test_on_postgresql_too_a_killed_worker_loses_nothing(
    settings: Settings, postgresql_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    on_postgresql = settings.model_copy(update={"database_url": postgresql_url})
    workbench = Workbench.open(on_postgresql)
    job = workbench.submit("long", {"seconds": 2, "log": str(log), "text": "a b c"})
    with worker(on_postgresql, "batch") as process:
        eventually(lambda: lines(log))
        process.kill()
        process.wait()
    with worker(on_postgresql, "batch"):
        text = ""
        for update in workbench.watch(job.id):
            text = update.text if update.restarted else text + update.text  # the first attempt's words may have come
    assert workbench.show(job.id).attempt == 2
    assert text == "a b c "
    assert lines(log) == ["begin 1", "begin 2", "end 2"]
    workbench.close()


def test_a_drained_worker_finishes_what_it_runs_and_takes_nothing_more_until_it_is_let_in(
    settings: Settings, workbench: Workbench
) -> None:
    with worker(settings, "interactive"):
        (there,) = workbench.workers()
        first = in_state(workbench, workbench.submit("quick", {"seconds": 5}), State.RUNNING)
        workbench.drain(there.id)
        second = workbench.submit("quick", {})
        assert ended(workbench, first).state is State.SUCCEEDED
        assert workbench.show(second.id).state is State.QUEUED
        workbench.drain(there.id, is_draining=False)
        assert ended(workbench, second).state is State.SUCCEEDED
