"""The page's machine need not have what the workers have, nor each worker what another has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.client import Workbench
from core.settings import Settings
from core.states import State
from tests.llm.tiny import tiny_model, word_tokenizer
from tests.queue.test_life import ended, worker
from tests.support import eventually


def home_with(folder: Path, *names: str) -> Path:
    """A home whose models have these names."""
    for name in names:
        tiny_model("llama").save_pretrained(folder / "models" / name)
        word_tokenizer().save_pretrained(folder / "models" / name)
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """A worker with a home of its own on the same database."""
    home = home_with(tmp_path / "elsewhere", "theirs")
    return settings.model_copy(update={"home": home, "database_url": settings.database})


@pytest.fixture
def client(settings: Settings) -> Iterator[Workbench]:
    opened = Workbench.open(settings)
    yield opened
    opened.close()


def test_models_that_only_the_worker_has_are_listed_and_loaded(client: Workbench, elsewhere: Settings) -> None:
    with worker(elsewhere, "interactive"):
        found = eventually(lambda: [one for one in client.models() if one.info.name == "theirs"])
        assert found[0].place.endswith("elsewhere")
        job = ended(client, client.submit("load", {"model": "theirs", "prompt": "w5"}))
    assert job.state is State.SUCCEEDED, job.error


def test_a_job_goes_to_the_worker_that_has_its_model(
    client: Workbench, settings: Settings, elsewhere: Settings
) -> None:
    home_with(settings.home, "ours")
    with worker(settings, "interactive"), worker(elsewhere, "interactive"):
        eventually(lambda: {"ours", "theirs"} <= {one.info.name for one in client.models()})
        names = ["theirs", "ours"] * 3
        jobs = [ended(client, client.submit("load", {"model": name, "prompt": "w5"})) for name in names]
        assert [(job.model, job.state) for job in jobs] == [(name, State.SUCCEEDED) for name in names]
        assert len({job.worker for job in jobs}) == 2


def test_a_model_that_nobody_has_fails_at_once_with_a_name_that_is_near(client: Workbench, elsewhere: Settings) -> None:
    with worker(elsewhere, "interactive"):
        job = ended(client, client.submit("load", {"model": "their"}))
    assert job.error is not None
    assert "theirs" in f"{job.error.message} {job.error.hint}"
