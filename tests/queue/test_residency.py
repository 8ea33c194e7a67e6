"""A worker with room for little more than one model: what stays, what goes, who waits and why, who is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core.catalog.builtin import installed_gguf
from core.client import Workbench
from core.errors import BadInput
from core.ids import new_id
from core.migrate import migrate
from core.settings import Settings
from core.states import State
from core.store.holdings import Holding
from core.values import Job
from tests.llm.test_adapters import make_adapter
from tests.llm.tiny import tiny_model, word_tokenizer
from tests.queue.test_life import ended, in_state, worker
from tests.support import eventually

MILLION = 1_000_000
WIDE: dict[str, Any] = {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 4,
    "vocab_size": 200,
    "head_dim": 128,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Three models of about 60 MB in float32."""
    folders = {}
    for name in ("first", "second", "third"):
        folder = tmp_path_factory.mktemp("models") / name
        tiny_model("llama", **WIDE).save_pretrained(folder)
        word_tokenizer().save_pretrained(folder)
        folders[name] = str(folder)
    return folders


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Workbench]:
    """A worker with room for one such model and some work; another waits a second at most behind the resident one."""
    settings = Settings(
        home=tmp_path_factory.mktemp("small"),
        redis_url=redis_server,
        redis_prefix=f"wbtest-{new_id()}",
        preload=False,
        extra_kinds="tests.kinds",
        memory_bytes=110 * MILLION,
        resident_first_s=1.0,
        lease_s=3,
        sweep_s=0.3,
    )
    migrate(settings.database)
    opened = Workbench.open(settings)
    with worker(settings, "interactive"):
        yield opened
    opened.close()


@pytest.fixture
def client(small: Workbench) -> Iterator[Workbench]:
    """It holds nothing when a test begins."""
    yield small
    for one in small.holdings():
        small.unload(one.key)
    eventually(lambda: not small.holdings())


def load(client: Workbench, model: str, **fields: object) -> Job:
    return client.submit("load", {"model": model, "dtype": "float32", "prompt": "w5 w7", **fields})


def write(client: Workbench, model: str, n_tokens: int, **fields: object) -> Job:
    spec = {"model": model, "mode": "completion", "prompt": "w5 w7", "max_new_tokens": n_tokens, "dtype": "float32"}
    return client.submit("generate", spec | fields)


def resident(client: Workbench) -> set[str]:
    return {Path(held.model).name for held in client.holdings() if not held.is_loading}


def held(client: Workbench, model: str) -> Holding:
    return next(one for one in client.holdings() if one.model == model)


def succeeded(client: Workbench, job: Job) -> Job:
    found = ended(client, job)
    assert found.state is State.SUCCEEDED, found.error
    return found


def test_the_idle_model_goes_for_the_next_one(client: Workbench, models: dict[str, str]) -> None:
    first = succeeded(client, load(client, models["first"]))
    assert first.result is not None
    assert first.result["was_resident"] is False
    again = succeeded(client, load(client, models["first"]))
    assert again.result is not None
    assert again.result["was_resident"] is True
    succeeded(client, load(client, models["second"]))
    assert eventually(lambda: resident(client) == {"second"})


def test_what_is_in_use_stays_and_the_next_one_waits_with_its_reason(client: Workbench, models: dict[str, str]) -> None:
    writing = in_state(client, write(client, models["first"], 140), State.RUNNING)
    eventually(lambda: resident(client) == {"first"})
    waiting = load(client, models["second"])
    reason = eventually(lambda: client.show(waiting.id).waiting_reason or client.show(waiting.id).state.is_finished)
    if reason is not True:  # the first one was quicker than that
        assert "free: waiting for job" in str(reason)
        assert writing.id[-6:] in str(reason)
    assert succeeded(client, waiting).waiting_reason == ""


def test_a_pinned_model_stays_until_it_is_unpinned(client: Workbench, models: dict[str, str]) -> None:
    succeeded(client, load(client, models["first"], pin=True))
    eventually(lambda: held(client, models["first"]).is_pinned)
    waiting = load(client, models["second"])
    eventually(lambda: "is pinned" in client.show(waiting.id).waiting_reason)
    client.pin(models["first"], is_pinned=False)
    succeeded(client, waiting)


def test_a_model_is_let_go_by_command(client: Workbench, models: dict[str, str]) -> None:
    succeeded(client, load(client, models["first"], pin=True))
    client.unload(models["first"])
    eventually(lambda: not client.holdings())


def test_what_can_never_fit_fails_at_once_and_names_what_would(client: Workbench, tmp_path: Path) -> None:
    large = tmp_path / "large"
    tiny_model("llama", **(WIDE | {"num_hidden_layers": 12})).save_pretrained(large)
    word_tokenizer().save_pretrained(large)
    job = ended(client, load(client, str(large)))
    assert job.error is not None
    assert job.error.code == "out_of_memory"
    assert "and this device has 110.00 MB" in job.error.message
    assert "would need" in job.error.hint
    assert "large" not in resident(client)


def test_two_people_with_two_models_do_not_swap_at_every_turn(client: Workbench, models: dict[str, str]) -> None:
    succeeded(client, load(client, models["first"]))
    jobs = [write(client, models[name], 3) for _ in range(6) for name in ("second", "first")]
    order = sorted((succeeded(client, job) for job in jobs), key=lambda job: job.started_at or 0)
    names = [Path(job.model).name for job in order]
    n_swaps = sum(before != after for before, after in pairwise(names))
    assert n_swaps <= 3, names


def test_many_jobs_share_one_resident_model(client: Workbench, models: dict[str, str]) -> None:
    jobs = [write(client, models["first"], 30) for _ in range(8)]
    loads = [succeeded(client, job) for job in jobs]
    assert len(loads) == 8
    assert eventually(lambda: resident(client) == {"first"})


def test_a_model_that_is_not_here_is_one_sentence_and_the_worker_goes_on(
    client: Workbench, models: dict[str, str]
) -> None:
    job = ended(client, load(client, "nobody/such-a-model"))
    assert job.error is not None
    assert "nobody/such-a-model" in job.error.message
    succeeded(client, load(client, models["first"]))


def test_a_precision_that_cannot_run_here_is_refused_by_the_form_and_the_spec(
    client: Workbench, models: dict[str, str]
) -> None:
    eventually(lambda: client.abilities("interactive"))
    with pytest.raises(BadInput, match="cannot run here: it needs an NVIDIA card"):
        load(client, models["first"], attn_implementation="flash_attention_2")


def test_a_model_is_loaded_beside_one_that_leaves_it_room(settings: Settings, models: dict[str, str]) -> None:
    with worker(settings, "interactive"):
        client = Workbench.open(settings)
        for name in ("first", "second", "third"):
            succeeded(client, load(client, models[name]))
        eventually(lambda: resident(client) == {"first", "second", "third"})
        client.close()


def test_a_job_in_a_process_of_its_own_gets_the_memory_that_is_held_idle(
    settings: Settings, models: dict[str, str]
) -> None:
    settings = settings.model_copy(update={"memory_bytes": 110 * MILLION})
    with worker(settings, "interactive"), worker(settings, "batch"):
        client = Workbench.open(settings)
        succeeded(client, load(client, models["first"]))
        alone = succeeded(client, client.submit("alone", {"model": models["second"], "dtype": "float32"}))
        assert alone.result is not None
        assert alone.result["text"] == "float32"
        assert "first" not in resident(client)
        eventually(lambda: not client.holdings())
        client.close()


def test_jobs_with_two_adapters_and_none_share_one_model(
    client: Workbench, models: dict[str, str], tmp_path: Path
) -> None:
    base = models["first"]
    adapters: list[str | None] = [str(make_adapter(tmp_path / name, seed, **WIDE)) for seed, name in enumerate("ab")]
    jobs = [write(client, base, 12, adapter=adapter, temperature=0.0) for adapter in (None, *adapters)]
    found = [succeeded(client, job) for job in jobs]
    assert len({job.result["text"] for job in found if job.result}) == 3
    assert [job.samples[0].made_by.adapter for job in found] == [None, *adapters]
    assert len(eventually(client.holdings)) == 1


def test_an_adapter_that_is_not_one_is_refused(client: Workbench, models: dict[str, str]) -> None:
    job = ended(client, write(client, models["first"], 3, adapter=models["second"]))
    assert job.error is not None
    assert job.error.code == "adapter_mismatch"
    assert "no adapter_config.json" in job.error.message


def test_int8_leaves_the_log_readable(client: Workbench, models: dict[str, str]) -> None:
    succeeded(client, write(client, models["first"], 12, dtype="int8"))
    log = client.settings.home / "worker-interactive.log"
    assert log.read_text().count("MatMul8bitLt") == 0


def hostile(folder: Path, model: str, **changes: object) -> str:
    """A copy of a model whose config says something else."""
    shutil.copytree(model, folder)
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    return str(folder)


@pytest.mark.parametrize(
    "changes",
    [{"num_hidden_layers": 10**12}, {"num_attention_heads": -4}, {"hidden_size": 10**15}, {"vocab_size": "many"}],
    ids=lambda changes: next(iter(changes)),
)
def test_hostile_numbers_are_one_sentence_at_once_and_the_worker_goes_on(
    client: Workbench, models: dict[str, str], tmp_path: Path, changes: dict[str, object]
) -> None:
    job = ended(client, load(client, hostile(tmp_path / "hostile", models["first"], **changes)))
    assert job.error is not None
    assert job.error.code == "bad_config", job.error
    assert (job.finished_at or 0) - (job.started_at or 0) < 3
    succeeded(client, load(client, models["first"]))


def test_a_job_that_is_cancelled_while_another_model_loads_ends_at_once(
    settings: Settings, models: dict[str, str]
) -> None:
    with worker(settings, "interactive"):
        client = Workbench.open(settings)
        slow = client.submit("load", {"model": str(installed_gguf()), "dtype": "bfloat16"})  # takes many seconds
        eventually(lambda: client.show(slow.id).progress)
        waiting = in_state(client, load(client, models["first"]), State.RUNNING)
        client.cancel(waiting.id)
        assert ended(client, waiting).state is State.CANCELLED
        assert not client.show(slow.id).state.is_finished
        client.close()


@pytest.mark.nightly
def test_files_that_were_replaced_are_another_model(
    client: Workbench, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hostile(tmp_path / "mine", models["first"])
    before = succeeded(client, write(client, folder, 8, temperature=0.0)).result
    tiny_model("llama", **(WIDE | {"rope_theta": 77.0})).save_pretrained(folder)
    eventually(lambda: _says_otherwise(client, folder, before), patience_s=60)


def _says_otherwise(client: Workbench, folder: str, before: dict[str, Any] | None) -> bool:
    now = succeeded(client, write(client, folder, 8, temperature=0.0)).result
    assert now is not None
    assert before is not None
    return bool(now["text"] != before["text"])


def test_a_model_can_be_let_go_as_soon_as_its_job_has_ended(client: Workbench, models: dict[str, str]) -> None:
    for name in ("first", "second") * 3:
        succeeded(client, load(client, models[name]))
        assert [held.model for held in client.unload(models[name])] == [models[name]]
        eventually(lambda: not client.holdings())
