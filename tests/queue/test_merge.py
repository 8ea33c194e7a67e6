"""Merges with a real worker, real processes and tiny real models."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.catalog.card import licence_of
from core.client import Workbench, artifact_folder, scratch_folder
from core.comparison.merged import MergeReport
from core.errors import BadInput
from core.states import State
from core.training.lineage import read_lineage
from core.values import ArtifactKind, Job
from tests.llm.test_merging import by_peft, loaded, logits, save, train
from tests.llm.tiny import tiny_model
from tests.llm.training.door import QUICK as TRAINING
from tests.llm.training.door import make_model, write_rows
from tests.queue.test_compare import PATIENCE_S, TEXT, ended, kill_all, settings_for
from tests.queue.test_life import worker
from tests.support import eventually

QUICK: dict[str, Any] = {
    "prompts": ["w5 w6 w7", "w8", "w9 w10"],
    "max_new_tokens": 6,
    "eval_own": TEXT,
    "eval_tokens": 128,
    "window": 32,
}
TARGETS = ["q_proj", "v_proj", "down_proj"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Workbench]:
    """With a worker for each queue."""
    settings = settings_for(tmp_path_factory.mktemp("home"), redis_server, extra_kinds="tests.broken_merge")
    opened = Workbench.open(settings)
    with worker(settings, "batch"), worker(settings, "interactive"):
        yield opened
    opened.close()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "base"
    save(tiny_model("llama").bfloat16(), folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\nA base.\n")
    (folder / "generation_config.json").write_text(json.dumps({"max_new_tokens": 7}))
    return folder


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It names its base, as PEFT writes it."""
    folder = train(loaded(base), tmp_path_factory.mktemp("models") / "adapter", std=0.1, target_modules=TARGETS)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(base)}))
    return folder


def merged(client: Workbench, adapter: Path, kind: str = "merge", **fields: Any) -> Job:
    return ended(client, client.submit(kind, {"adapter": str(adapter), **QUICK, **fields}))


def read(job: Job) -> MergeReport:
    return MergeReport.model_validate(job.result)


def folder_of(client: Workbench, job: Job) -> Path:
    (artifact,) = job.artifacts
    assert artifact.kind is ArtifactKind.MODEL
    return artifact_folder(client.settings.home, artifact.id)


@pytest.fixture(scope="module")
def wide(client: Workbench, adapter: Path) -> Job:
    job = merged(client, adapter, dtype="float32")
    assert job.error is None, job.error
    return job


def test_a_merge_in_float32_passes_and_says_by_which_figures(wide: Job, base: Path, adapter: Path) -> None:
    found = read(wide)
    assert (wide.state, found.verdict) == (State.SUCCEEDED, "PASS")
    assert found.text.startswith("Merged in float32: the same as base + adapter (KL 0.000000, 100 % same top token")
    assert (found.base, found.adapter, found.dtype, found.licence) == (str(base), str(adapter), "float32", "mit")
    assert found.n_changed == 6
    assert found.found
    assert found.noise
    assert 0 < found.found.logit_difference < 1e-4 * found.found.logit_most
    assert found.floor is None
    assert [pair.is_equal for pair in found.samples] == [True] * 3
    assert all(len(pair.merged.split()) == 6 for pair in found.samples)
    assert found.evaluation
    assert found.evaluation.n_scored == 4 * 31
    assert "it passes if no logit moves" in found.rule


def test_what_it_took_is_measured(client: Workbench, wide: Job) -> None:
    figures = {one.name: one for one in wide.measurements}
    assert figures["written_bytes"].value == read(wide).n_bytes
    assert figures["merge_peak_bytes"].predicted
    assert figures["merge_s"].value < figures["seconds"].value
    assert figures["peak_bytes"].value > 0
    assert {sample.made_by.adapter for sample in wide.samples} == {None, read(wide).adapter}
    eventually(lambda: not scratch_folder(client.settings.home, wide.id).exists())


def test_the_merged_model_is_loaded_by_plain_transformers(
    client: Workbench, wide: Job, base: Path, adapter: Path
) -> None:
    folder = folder_of(client, wide)
    expected = logits(by_peft(save_source(base), adapter))
    assert (logits(loaded(folder)) - expected).abs().max() < 1e-5 * float(expected.abs().max())
    auto: Any = AutoModelForCausalLM
    assert auto.from_pretrained(folder).dtype == torch.float32  # as its own settings say
    assert AutoTokenizer.from_pretrained(folder)("w5 w6")["input_ids"] == [5, 6]
    assert json.loads((folder / "generation_config.json").read_text())["max_new_tokens"] == 7
    card = (folder / "README.md").read_text()
    assert licence_of(folder) == "mit"
    assert "**PASS** Merged in float32" in card
    assert wide.id in card
    lineage = read_lineage(folder)
    assert (lineage["job"], lineage["kind"], lineage["base"]) == (wide.id, "merge", str(base))
    assert lineage["spec"]["adapter"] == str(adapter)


def save_source(folder: Path) -> Any:
    from core.catalog import ModelSource

    return ModelSource(folder.name, folder, None)


def test_the_merged_model_is_used_by_its_id(client: Workbench, wide: Job) -> None:
    asked = {"model": wide.artifacts[0].id, "prompt": "w5 w6 w7", "mode": "completion", "max_new_tokens": 6,
             "temperature": 0.0, "dtype": "float32"}  # fmt: skip
    done = ended(client, client.submit("generate", asked))
    assert done.error is None, done.error
    assert done.result
    assert done.result["text"].strip() == read(wide).samples[0].adapter.strip()


def test_as_the_base_is_stored_it_is_held_against_what_rounding_costs(client: Workbench, adapter: Path) -> None:
    job = merged(client, adapter)
    found = read(job)
    assert job.error is None, job.error
    assert (found.verdict, found.dtype, found.checked_in) == ("PASS", "bfloat16", "float32")
    assert found.floor
    assert found.found
    assert 5e-6 < found.found.kl < found.floor.kl / 2
    assert any("stored in bfloat16" in note for note in found.notes)
    assert "half of what base + adapter lose by running in bfloat16" in found.rule
    assert json.loads((folder_of(client, job) / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_broken_merge_fails_the_job_and_offers_no_model(client: Workbench, adapter: Path, dtype: str) -> None:
    """The arithmetic of the worker is spoiled by `tests.broken_merge`: every change is added half."""
    job = merged(client, adapter, "broken-merge", dtype=dtype)
    assert job.state is State.FAILED
    assert job.error
    assert job.error.code == "merge_check"
    assert "not the same as base + adapter" in job.error.message
    assert ("Merge in float32" in job.error.hint) is (dtype == "bfloat16")
    assert job.artifacts == ()
    assert read(job).verdict == "FAIL"
    assert read(job).found
    assert not list((client.settings.home / "artifacts").glob("*.partial"))


def test_what_does_not_go_with_the_base_is_said(client: Workbench, adapter: Path, tmp_path: Path) -> None:
    other = save(tiny_model("llama", hidden_size=64), tmp_path / "other")
    job = merged(client, adapter, model=str(other.folder))
    assert job.error
    assert (job.state, job.error.code) == (State.FAILED, "adapter_mismatch")
    assert "layers.0.mlp.down_proj.lora_B" in job.error.message
    assert "32 × 4, where the base has 64 × 4" in job.error.message
    missing = merged(client, adapter, model="not/there")
    assert missing.error
    assert missing.error.code == "not_downloaded"


@pytest.mark.nightly
def test_what_is_special_of_an_adapter_is_noted(client: Workbench, base: Path, adapter: Path, tmp_path: Path) -> None:
    copied = tmp_path / "packed"
    copied.mkdir()
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file(weights, copied / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_text())
    named = config | {"base_model_name_or_path": "someone/base-bnb-4bit"}
    (copied / "adapter_config.json").write_text(json.dumps(named))
    (copied / "workbench.json").write_text(json.dumps({"base_dtype": "nf4"}))
    job = merged(client, copied, model=str(base), dtype="float32")
    assert job.error is None, job.error
    assert any("packed in nf4" in note for note in read(job).notes)
    assert any("someone/base-bnb-4bit" in note for note in read(job).notes)
    nameless = merged(client, copied)
    assert nameless.error
    assert nameless.error.code == "not_downloaded"
    assert "The adapter's base is not here" in nameless.error.message


def test_a_cancelled_merge_leaves_no_model(client: Workbench, adapter: Path) -> None:
    job = client.submit("merge", {"adapter": str(adapter), **QUICK, "eval_own": TEXT * 40, "eval_tokens": 100_000})
    eventually(lambda: (shown := client.show(job.id).progress) and "window" in shown.message)
    client.cancel(job.id)
    done = ended(client, job)
    assert done.state is State.CANCELLED
    assert done.artifacts == ()
    assert done.result
    assert done.result["text"].startswith("Stopped")
    assert not list((client.settings.home / "artifacts").glob("*.partial"))


def test_an_empty_prompt_is_refused(client: Workbench) -> None:
    with pytest.raises(BadInput, match="Prompt 2 is empty"):
        client.submit("merge", {"adapter": "a", "prompts": ["w1", "  "]})


@pytest.mark.nightly
def test_a_worker_that_stops_gives_the_merge_back_and_the_next_one_makes_it(
    tmp_path: Path, redis_server: str, adapter: Path
) -> None:
    settings = settings_for(tmp_path, redis_server)
    own = Workbench.open(settings)
    job = own.submit("merge", {"adapter": str(adapter), **QUICK, "eval_own": TEXT * 4, "eval_tokens": 640})
    with worker(settings, "batch") as first:
        eventually(lambda: (shown := own.show(job.id).progress) and "base + adapter" in shown.message)
        os.kill(first.pid, signal.SIGTERM)
        first.wait(PATIENCE_S)
    assert own.show(job.id).state is State.QUEUED
    assert not list((tmp_path / "artifacts").glob("*"))
    with worker(settings, "batch"):
        done = ended(own, job)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 2)
    assert len(done.artifacts) == 1
    own.close()


def test_a_killed_merge_starts_again_and_leaves_nothing_of_the_first(
    tmp_path: Path, redis_server: str, adapter: Path
) -> None:
    settings = settings_for(tmp_path, redis_server)
    own = Workbench.open(settings)
    job = own.submit("merge", {"adapter": str(adapter), **QUICK, "eval_own": TEXT * 100, "eval_tokens": 16_000})
    with worker(settings, "batch") as first:
        eventually(lambda: list((tmp_path / "artifacts").glob("*.partial/config.json")))
        kill_all(first.pid)
    assert len(list((tmp_path / "artifacts").glob("*.partial"))) == 1
    with worker(settings, "batch"):
        done = ended(own, job)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 2)
    assert [each.name for each in (tmp_path / "artifacts").iterdir()] == [done.artifacts[0].id]
    own.close()


@pytest.mark.nightly
@pytest.mark.parametrize("fields", [{"use_dora": True}, {"dtype": "nf4", "use_rslora": True}], ids=["dora", "qlora"])
def test_what_a_training_made_is_merged_by_its_id(client: Workbench, tmp_path: Path, fields: dict[str, Any]) -> None:
    model, rows = make_model(tmp_path / "tiny"), write_rows(tmp_path / "rows.jsonl")
    trained = ended(client, client.submit("sft", {**TRAINING, "model": model, "data": rows, **fields}))
    assert trained.error is None, trained.error
    job = merged(client, Path(trained.artifacts[0].id), dtype="float32")
    assert job.error is None, job.error
    found = read(job)
    assert (found.verdict, found.base, found.n_changed) == ("PASS", model, 14)
    assert any("packed in nf4" in note for note in found.notes) is (fields.get("dtype") == "nf4")
    assert read_lineage(folder_of(client, job))["adapter"]["job"] == trained.id
