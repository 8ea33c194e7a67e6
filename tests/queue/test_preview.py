"""`preview` runs on a real worker, from the command line's spec to its result."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pandas  # type: ignore[import-untyped]
import pytest

from core.client import Workbench
from core.data.preview import Previewed
from core.errors import BadInput
from core.settings import Settings
from core.states import State
from tests.hub.server import Hub, hub_server
from tests.queue.test_life import ended, worker
from tests.support import eventually


@pytest.fixture
def home(settings: Settings, models_home: Path) -> Path:
    """The home of the workbench, with the built-in model in it."""
    (settings.home / "models").symlink_to(models_home / "models")
    return settings.home


def test_an_upload_is_previewed_and_bad_data_is_a_sentence(
    home: Path, settings: Settings, workbench: Workbench
) -> None:
    rows = b'{"text": "A first text."}\n{"text": null}\n{"text": "A second text."}\n'
    upload = workbench.upload(io.BytesIO(rows), "mine.jsonl")
    with worker(settings, "interactive"):
        job = ended(workbench, workbench.submit("preview", {"data": upload.id, "max_length": 4}))
        failed = ended(workbench, workbench.submit("preview", {"data": upload.id, "text_template": "{body}"}))
    assert job.state is State.SUCCEEDED, job.error
    assert job.result is not None
    found = Previewed.model_validate(job.result)
    assert (found.name, found.n_rows, found.n_train, found.n_bad) == ("mine.jsonl", 2, 1, 1)
    assert found.bad[0].number == 2
    assert found.n_cut == 2
    assert found.batch is not None
    assert found.rows[0].pieces[0].text == "A"
    assert failed.error is not None
    assert (failed.error.code, failed.state) == ("bad_input", State.FAILED)
    assert "text_template names the column body" in failed.error.message


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The Hub that the worker asks, with a data set of 4 MB."""
    folder = tmp_path / "served"
    folder.mkdir()
    words = [f"{nth} " + "".join(random.Random(nth).choices("abcdefgh ", k=2000)) for nth in range(2000)]
    pandas.DataFrame({"text": words}).to_parquet(folder / "train.parquet", compression=None)
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    with hub_server() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        served.add("tests/rows", folder, kind="datasets")
        yield served


def test_a_data_set_of_the_hub_is_fetched_and_a_cancel_ends_that_at_once(
    home: Path, settings: Settings, workbench: Workbench, hub: Hub
) -> None:
    hub.faults.bytes_per_s = 200_000
    with worker(settings, "interactive"):
        job = workbench.submit("preview", {"data": "tests/rows", "max_rows": 20})
        eventually(lambda: (said := workbench.show(job.id).progress) and "fetching train.parquet" in said.message)
        workbench.cancel(job.id)
        cancelled = ended(workbench, job)
        hub.faults.bytes_per_s = 0
        again = ended(workbench, workbench.submit("preview", {"data": "tests/rows", "max_rows": 20}))
        missing = ended(workbench, workbench.submit("preview", {"data": "tests/nothing"}))
    assert (cancelled.state, cancelled.error) == (State.CANCELLED, None)
    assert again.state is State.SUCCEEDED, again.error
    assert again.result is not None
    assert again.result["n_rows"] == 20
    assert missing.error is not None
    assert missing.error.message == "The Hub has no data set tests/nothing, or it is private."


def test_what_no_data_could_be_is_refused_before_it_is_queued(workbench: Workbench) -> None:
    with pytest.raises(BadInput, match="is not the name of a column"):
        workbench.submit("preview", {"text_template": "{text.__class__}"})
