"""Training jobs with real workers: killed, paused, cancelled, and what their curves and artifacts say then."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.client import Workbench, scratch_folder
from core.errors import BadInput
from core.settings import Settings
from core.states import State
from core.values import ArtifactKind, Job
from tests.llm.tiny import tiny_model, word_tokenizer
from tests.llm.training.door import QUICK, make_model, write_rows
from tests.queue.test_life import worker
from tests.queue.test_making_room import given_back, roomy
from tests.queue.test_residency import WIDE, load
from tests.support import eventually, workbench_of

PATIENCE_S = 240.0
LONG: dict[str, Any] = QUICK | {"max_steps": 400, "eval_steps": 100, "save_steps": 20, "lora_dropout": 0.1}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several processes compute here, on tiny models: more threads would only keep other tests waiting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A tiny model and rows."""
    folder = tmp_path_factory.mktemp("made")
    return make_model(folder / "tiny"), write_rows(folder / "rows.jsonl")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Workbench]:
    with workbench_of(tmp_path_factory.mktemp("home"), redis_server) as opened:
        yield opened


@pytest.fixture(scope="module")
def settings(client: Workbench) -> Settings:
    return client.settings


@pytest.fixture(scope="module")
def whole(client: Workbench, settings: Settings, made: tuple[str, str]) -> Job:
    """A run that nobody disturbed."""
    job = submit(client, made)
    with worker(settings, "batch"):
        done = ended(client, job)
        eventually(lambda: not scratch_folder(client.settings.home, done.id).exists())
        return done


def submit(client: Workbench, made: tuple[str, str], **fields: Any) -> Job:
    return client.submit("sft", LONG | {"model": made[0], "data": made[1]} | fields)


def ended(client: Workbench, job: Job) -> Job:
    found = eventually(lambda: (now := client.show(job.id)).state.is_finished and now, PATIENCE_S)
    assert found
    return found


def until_step(client: Workbench, job: Job, step: int) -> None:
    eventually(lambda: ((client.show(job.id).result or {}).get("step") or 0) >= step, PATIENCE_S)


def losses(client: Workbench, job: Job) -> dict[int, float]:
    return {one.step: one.values["loss"] for one in client.metrics(job.id) if one.sort == "train"}


def test_a_training_job_tells_all_that_its_page_shows(client: Workbench, whole: Job) -> None:
    assert whole.state is State.SUCCEEDED, whole.error
    result = whole.result or {}
    assert result["step"] == 400
    assert result["text"].startswith("Perplexity of held-out rows")
    assert result["preflight"]["step_s"] > 0
    assert sorted(losses(client, whole)) == list(range(1, 401))
    assert {one["step"] for one in result["tries"]} == {0, 100, 200, 300, 400}
    assert [one["which"] for one in result["judged"]] == ["best", "worst", "random"]
    assert {one.name for one in whole.measurements} >= {"train_s", "train_tokens_per_s", "peak_bytes"}
    assert [one.kind for one in whole.artifacts] == [ArtifactKind.ADAPTER]


@pytest.mark.parametrize("how", ["kill", pytest.param("stop", marks=pytest.mark.nightly)])
def test_a_lost_worker_costs_no_step_and_no_digit(
    client: Workbench, settings: Settings, made: tuple[str, str], whole: Job, how: str
) -> None:
    job = submit(client, made)
    with worker(settings, "batch") as first:
        until_step(client, job, 100)
        if how == "kill":
            kill_all(first.pid)
        else:
            os.kill(first.pid, signal.SIGTERM)
            first.wait(30)
    with worker(settings, "batch"):
        done = ended(client, job)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 2)
    assert losses(client, job) == losses(client, whole)
    assert (done.result or {})["perplexity"] == (whole.result or {})["perplexity"]
    resumed = (done.result or {})["resumed_at"][0]
    assert resumed >= 80
    assert how == "stop" or resumed % 20 == 0


def kill_all(pid: int) -> None:
    parent = psutil.Process(pid)
    for process in [*parent.children(recursive=True), parent]:
        process.kill()


def test_a_paused_run_frees_its_worker_and_goes_on_when_it_is_resumed(
    client: Workbench, settings: Settings, made: tuple[str, str], whole: Job
) -> None:
    job, other = submit(client, made), submit(client, made, max_steps=2, save_steps=1, eval_share=0.0)
    with worker(settings, "batch"):
        until_step(client, job, 100)
        client.pause(job.id)
        eventually(lambda: client.show(job.id).state is State.HELD, PATIENCE_S)
        assert ended(client, other).state is State.SUCCEEDED
        assert client.show(job.id).state is State.HELD
        client.resume(job.id)
        done = ended(client, job)
    assert done.state is State.SUCCEEDED
    assert losses(client, job) == losses(client, whole)


@pytest.mark.nightly
def test_a_run_that_makes_room_for_a_question_goes_on_without_losing_a_digit(
    client: Workbench, made: tuple[str, str], whole: Job, tmp_path: Path, redis_server: str
) -> None:
    tiny_model("llama", **WIDE).save_pretrained(tmp_path / "asked")
    word_tokenizer().save_pretrained(tmp_path / "asked")
    with (
        roomy(tmp_path / "home", redis_server, yield_after_min=0.01, memory_bytes=85_000_000) as small,
        worker(small.settings, "interactive"),
        worker(small.settings, "batch"),
    ):
        job = submit(small, made)
        until_step(small, job, 60)
        question = ended(small, load(small, str(tmp_path / "asked")))
        done = ended(small, job)
    assert question.state is done.state is State.SUCCEEDED
    assert given_back(small, job) == ["yielded"]
    assert (done.result or {})["resumed_at"][0] >= 60
    assert losses(small, job) == losses(client, whole)
    assert (done.result or {})["perplexity"] == (whole.result or {})["perplexity"]


@pytest.mark.nightly
def test_a_cancelled_run_leaves_a_checkpoint_that_another_job_goes_on_from(
    client: Workbench, settings: Settings, made: tuple[str, str], whole: Job
) -> None:
    job = submit(client, made)
    with worker(settings, "batch"):
        until_step(client, job, 100)
        [held] = client.holdings()
        predicted = (client.show(job.id).result or {})["preflight"]["predicted_bytes"]
        assert held.n_bytes + held.work_bytes >= predicted > held.n_bytes
        client.cancel(job.id)
        done = ended(client, job)
        assert done.state is State.CANCELLED
        [kept] = eventually(lambda: client.show(job.id).artifacts)
        assert kept.kind is ArtifactKind.CHECKPOINT
        further = ended(client, submit(client, made, resume_from=kept.id))
    assert further.state is State.SUCCEEDED, further.error
    begun = (done.result or {})["step"]
    assert losses(client, further) == {step: loss for step, loss in losses(client, whole).items() if step > begun}


def test_data_and_machine_are_refused_in_one_sentence(
    client: Workbench, settings: Settings, made: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "one.jsonl").write_text('{"number": 2}\n{"number": 3}\n')
    with pytest.raises(BadInput, match="cannot be trained"):
        submit(client, made, method="full", dtype="nf4")
    jobs = [
        submit(client, made, data=str(tmp_path / "one.jsonl")),
        submit(client, made, data=str(tmp_path / "none.jsonl")),
        submit(client, made, text_template="{nothing}"),
        submit(client, made, target_modules=["query_key_value"]),
    ]
    with worker(settings, "batch"):
        for job, said in zip(jobs, ("number", "none.jsonl", "nothing", "query_key_value"), strict=True):
            done = ended(client, job)
            assert done.state is State.FAILED
            assert done.error
            assert done.error.code == "bad_input"
            assert said in done.error.message
            assert "\n" not in done.error.message
