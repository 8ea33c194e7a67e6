"""Models come, change and go by jobs on a real worker, whose environment names the Hub of the tests."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from core.client import Workbench
from core.errors import BadInput
from core.settings import Settings
from core.states import State
from core.values import Job
from tests.hub.conftest import NAME, SHARDS
from tests.hub.server import Hub
from tests.llm.tiny import tiny_model, word_tokenizer
from tests.queue.test_life import ended, worker
from tests.support import eventually


@pytest.fixture(autouse=True)
def cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the worker's process inherits."""
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf" / "hub"


def run(workbench: Workbench, kind: str, **spec: object) -> Job:
    job = ended(workbench, workbench.submit(kind, spec))
    assert job.error is None or job.error.code != "bug", workbench.attempts(job.id)[-1].traceback
    return job


def names(workbench: Workbench) -> set[str]:
    return {found.info.name for found in workbench.models()}


def test_a_model_is_downloaded_listed_and_removed(
    settings: Settings, workbench: Workbench, repository: Path, cache: Path
) -> None:
    with worker(settings, "interactive"):
        job = run(workbench, "download", model=NAME)
        assert job.state is State.SUCCEEDED, job.error
        assert job.result is not None
        assert job.result["is_whole"]
        assert set(SHARDS) <= set(job.result["files"])
        assert next(m for m in job.measurements if m.name == "download_bytes_per_s").value > 1e5
        eventually(lambda: NAME in names(workbench))
        gone = run(workbench, "remove", model=NAME)
        assert gone.result is not None
        assert gone.result["n_bytes"] > 8_000_000
        eventually(lambda: NAME not in names(workbench))
    assert not list(cache.glob("models--*"))


def test_a_cancelled_download_ends_within_a_second_and_keeps_what_came(
    settings: Settings, workbench: Workbench, repository: Path, hub: Hub, cache: Path
) -> None:
    hub.faults.bytes_per_s = 300_000
    with worker(settings, "interactive"):
        job = workbench.submit("download", {"model": NAME})
        eventually(lambda: (shown := workbench.show(job.id).progress) and shown.current > 100_000 and shown.eta_s)
        begun = time.monotonic()
        workbench.cancel(job.id)
        job = ended(workbench, job)
        assert time.monotonic() - begun < 1.5  # the worker's beat, which brings the wish, is part of it
    assert job.state is State.CANCELLED
    assert job.result is not None
    assert not job.result["is_whole"]
    assert next(cache.rglob("*.incomplete")).stat().st_size > 100_000


def test_a_download_goes_on_where_a_killed_worker_left_it(
    settings: Settings, workbench: Workbench, repository: Path, hub: Hub, cache: Path
) -> None:
    hub.faults.bytes_per_s = 1_000_000
    job = workbench.submit("download", {"model": NAME})
    with worker(settings, "interactive") as process:
        partial = eventually(lambda: [p for p in cache.rglob("*.incomplete") if p.stat().st_size > 500_000])[0]
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = partial.stat().st_size
    hub.faults.bytes_per_s = 0
    with worker(settings, "interactive"):
        job = ended(workbench, job)
    assert (job.state, job.attempt) == (State.SUCCEEDED, 2)
    assert hub.files_asked(SHARDS[0])[-1].range == f"bytes={kept}-"
    n_bytes = (repository / SHARDS[0]).stat().st_size
    assert hub.files_asked(SHARDS[0])[-1].sent_bytes == n_bytes - kept


@contextmanager
def _status(hub: Hub, status: int, **headers: str) -> Iterator[None]:
    hub.faults.status, hub.faults.headers = status, {name.replace("_", "-"): value for name, value in headers.items()}
    yield
    hub.faults.status = 0


def test_each_fault_is_one_sentence_and_the_worker_stays_healthy(
    settings: Settings, workbench: Workbench, repository: Path, hub: Hub
) -> None:
    hub.add("meta/gated", repository, gated=True)

    def failed(code: str, words: str, **spec: object) -> None:
        job = run(workbench, "download", **{"model": NAME, **spec})
        assert job.state is State.FAILED
        assert job.error is not None
        assert job.error.code == code, job.error
        assert words in f"{job.error.message} {job.error.hint}"
        assert "\n" not in job.error.message + job.error.hint

    with worker(settings, "interactive"):
        failed("hub_refused", "HF_TOKEN", model="meta/gated")
        failed("model_not_found", f"Did you mean {NAME}?", model="tests/tiny-lama")
        failed("model_not_found", "no such revision", revision="v9")
        with _status(hub, 429, Retry_After="31"):
            failed("hub_refused", "31 seconds")
        hub.faults.wrong_bytes.add(SHARDS[1])
        failed("model_broken", "checksum")
        hub.faults.wrong_bytes.clear()
        assert run(workbench, "download", model=NAME).state is State.SUCCEEDED
        assert len(workbench.workers()) == 1


def test_without_a_network_a_download_fails_within_seconds(
    settings: Settings, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with worker(settings, "interactive"):
        begun = time.monotonic()
        job = run(workbench, "download", model=NAME)
        assert time.monotonic() - begun < 6
    assert job.error is not None
    assert job.error.code == "hub_away"


def test_a_token_of_the_environment_opens_a_gated_model_and_is_in_no_log_and_no_row(
    settings: Settings, workbench: Workbench, repository: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    hub.add("meta/gated", repository, gated=True)
    with worker(settings, "interactive"):
        assert run(workbench, "download", model="meta/gated").state is State.SUCCEEDED
        hub.faults.status = 500
        run(workbench, "download", model="meta/gated")
    written = [path for path in settings.home.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"hf_right" in path.read_bytes()]


def test_pickled_weights_are_converted_by_a_job_and_a_malicious_one_is_refused(
    settings: Settings, workbench: Workbench, hub: Hub, tmp_path: Path
) -> None:
    from tests.hub.test_convert import _Evil, make

    hub.add("old/model", make(tmp_path / "served", {"w": torch.ones(100)}))
    evil = make(tmp_path / "evil", {"w": _Evil(tmp_path / "ran")})
    with worker(settings, "interactive"):
        fetched = run(workbench, "download", model="old/model")
        assert fetched.result is not None
        assert "pickled" in fetched.result["note"]
        found = eventually(lambda: [each.info for each in workbench.models() if each.info.name == "old/model"])[0]
        assert found.way_out == "convert"
        with worker(settings, "batch"):
            job = run(workbench, "convert", model="old/model")
            assert job.state is State.SUCCEEDED, job.error
            assert job.result is not None
            assert job.result["name"] == "old--model"
            refused = run(workbench, "convert", model=str(evil))
        assert refused.error is not None
        assert refused.error.code == "pickled_weights"
        assert not (tmp_path / "ran").exists()
        eventually(lambda: "old--model" in names(workbench))


def _real_model(folder: Path, is_pickled: bool) -> Path:
    """A tiny random model that answers, as its makers would publish it."""
    model = tiny_model("llama")
    model.save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    if is_pickled:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def test_a_model_is_asked_as_soon_as_it_is_here_and_a_pickled_one_once_it_is_converted(
    settings: Settings, workbench: Workbench, hub: Hub, tmp_path: Path
) -> None:
    hub.add("me/new", _real_model(tmp_path / "new", is_pickled=False))
    hub.add("me/old", _real_model(tmp_path / "old", is_pickled=True))
    asked = {"mode": "completion", "prompt": "w5 w7 w9", "max_new_tokens": 8, "temperature": 0.0}
    with worker(settings, "interactive"), worker(settings, "batch"):
        missing = run(workbench, "generate", model="me/new", **asked)
        assert missing.error is not None
        assert missing.error.code == "not_downloaded"
        for name in ("me/new", "me/old"):
            assert run(workbench, "download", model=name).state is State.SUCCEEDED
        new = run(workbench, "generate", model="me/new", revision="main", **asked)
        assert new.state is State.SUCCEEDED, new.error
        assert new.samples[0].made_by.revision == hub.repositories["models", "me/new"].commit
        refused = run(workbench, "generate", model="me/old", **asked)
        assert refused.error is not None
        assert refused.error.code == "pickled_weights", refused.error
        assert run(workbench, "convert", model="me/old").state is State.SUCCEEDED
        old = run(workbench, "generate", model="me--old", **asked)
    assert old.state is State.SUCCEEDED, old.error
    assert old.samples[0].completion == new.samples[0].completion


def test_a_name_that_no_repository_has_is_refused_before_it_is_queued(workbench: Workbench) -> None:
    for name in ("../../etc", "https://huggingface.co/org/name", "a b"):
        with pytest.raises(BadInput, match="cannot be the name"):
            workbench.submit("download", {"model": name})
    assert workbench.count() == 0
