"""The main job with the real model in a real worker, and what a bad model does to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from core.catalog import BUILTIN_NAME
from core.client import Workbench
from core.errors import ContextExceeded
from core.ids import new_id
from core.migrate import migrate
from core.settings import Settings
from core.states import State
from core.values import Job
from tests.queue.test_life import ended, worker


@pytest.fixture(scope="module")
def home(models_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generate")
    (folder / "models").symlink_to(models_home / "models")
    return folder


@pytest.fixture(scope="module")
def workbench(home: Path, redis_server: str) -> Iterator[Workbench]:
    """One workbench whose worker has the model resident: each test here only asks it."""
    settings = Settings(home=home, redis_url=redis_server, redis_prefix=f"wbtest-{new_id()}", extra_kinds="tests.kinds")
    migrate(settings.database)
    opened = Workbench.open(settings)
    with worker(settings, "interactive"):
        yield opened
    opened.close()


def ask(workbench: Workbench, **spec: object) -> Job:
    return ended(workbench, workbench.submit("generate", {"prompt": "Name three colours.", **spec}))


def test_a_prompt_is_answered_and_stamped_with_what_made_it(workbench: Workbench) -> None:
    job = workbench.submit("generate", {"prompt": "Name three colours.", "max_new_tokens": 16, "seed": 7})
    updates = list(workbench.watch(job.id))
    job = updates[-1].job
    assert job.state is State.SUCCEEDED
    assert job.result is not None
    assert "".join(update.text for update in updates) == job.result["text"] != ""
    assert len([update for update in updates if update.text]) > 2
    assert job.result["completion_tokens"] <= 16
    assert job.result["parameters"]["temperature"] is not None
    figures = {m.name: m.value for m in job.measurements}
    assert {"time_to_first_token_s", "tokens_per_s", "peak_bytes"} <= set(figures)
    assert figures["peak_bytes"] > 500e6  # 135 million parameters of four bytes each
    made_by = job.samples[0].made_by
    assert (made_by.model, made_by.precision, made_by.seed) == (BUILTIN_NAME, "float32", 7)
    assert made_by.revision
    assert job.samples[0].completion == job.result["text"]


def test_the_same_seed_gives_the_same_text_again(workbench: Workbench) -> None:
    results = [ask(workbench, seed=11, temperature=1.2, max_new_tokens=20).result for _ in range(2)]
    assert results[0] is not None
    assert results[0]["text"] == results[1]["text"]  # type: ignore[index]


def test_a_seed_that_was_drawn_is_kept_and_gives_the_same_text(workbench: Workbench) -> None:
    first = ask(workbench, temperature=1.2, max_new_tokens=20).result
    assert first is not None
    again = ask(workbench, temperature=1.2, max_new_tokens=20, seed=first["parameters"]["seed"]).result
    assert again is not None
    assert again["text"] == first["text"]


def test_a_cancelled_answer_keeps_what_was_written(workbench: Workbench) -> None:
    job = workbench.submit("generate", {"prompt": "Tell me a long story.", "max_new_tokens": 2000, "temperature": 0.9})
    seen = ""
    for update in workbench.watch(job.id):
        seen += update.text
        if len(seen) > 20 and not update.job.is_cancel_requested and not update.job.state.is_finished:
            workbench.cancel(job.id)
    job = workbench.show(job.id)
    assert job.state is State.CANCELLED
    assert job.result is not None
    assert job.result["text"] == seen
    assert job.result["finish_reason"] == "cancelled"


def test_requests_that_come_together_share_the_model(workbench: Workbench) -> None:
    jobs = [workbench.submit("generate", {"prompt": f"Count from {n}.", "max_new_tokens": 24}) for n in range(4)]
    shared = []
    for job in jobs:
        done = ended(workbench, job)
        assert done.state is State.SUCCEEDED
        shared += [m.value for m in done.measurements if m.name == "shared_with"]
    assert max(shared) >= 1


def test_a_completion_continues_the_text_as_it_stands(workbench: Workbench) -> None:
    job = ask(workbench, mode="completion", prompt="The capital of France is", temperature=0.0, max_new_tokens=3)
    assert job.result is not None
    assert "Paris" in job.result["text"]


def test_a_prompt_longer_than_the_context_is_refused_before_it_is_queued(workbench: Workbench) -> None:
    before = workbench.count()
    with pytest.raises(ContextExceeded, match=r"8,192"):
        workbench.submit("generate", {"prompt": "word " * 9000})
    assert workbench.count() == before


def test_a_prompt_that_the_page_could_not_count_is_refused_by_the_worker(workbench: Workbench, tmp_path: Path) -> None:
    """The page's machine has no model files; the worker says the same sentence."""
    settings = workbench.settings
    page = Workbench.open(settings.model_copy(update={"home": tmp_path, "database_url": settings.database}))
    job = ask(page, prompt="word " * 9000)
    page.close()
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error.code == "context_exceeded"
    assert "8,192" in job.error.message


@pytest.fixture(scope="session")
def bad_models(models_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of models that are broken in one way each."""
    whole = models_home / "models" / BUILTIN_NAME.split("/")[1]
    folders: dict[str, Path] = {}
    for name in ("truncated", "no weights", "no json", "encoder", "renamed tensors"):
        folders[name] = tmp_path_factory.mktemp("bad") / name.replace(" ", "-")
        shutil.copytree(whole, folders[name])
    weights = "model.safetensors"
    data = (whole / weights).read_bytes()
    (folders["truncated"] / weights).write_bytes(data[: len(data) // 2])
    (folders["no weights"] / weights).unlink()
    (folders["no json"] / "config.json").write_text("{ not json")
    (folders["encoder"] / "config.json").write_text(json.dumps({"model_type": "clip", "architectures": ["CLIPModel"]}))
    safetensors.torch.save_file({"other": torch.zeros(2)}, folders["renamed tensors"] / weights)
    return folders


def test_a_bad_model_fails_its_job_in_a_sentence_and_leaves_the_worker_healthy(
    workbench: Workbench, bad_models: dict[str, Path], tmp_path: Path
) -> None:
    for name, folder in {**bad_models, "missing": tmp_path / "nothing here"}.items():
        job = ask(workbench, model=str(folder))
        assert job.state is State.FAILED, name
        assert job.error is not None
        assert job.error.code in {"model_broken", "model_not_found", "not_a_causal_model", "bad_config"}, (
            name,
            job.error,
        )
        assert folder.name in job.error.message, job.error
    healthy = ask(workbench, max_new_tokens=2)
    assert healthy.state is State.SUCCEEDED
    assert len(workbench.workers()) == 1
