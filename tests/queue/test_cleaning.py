"""Deleting checkpoints with their files: on this machine at once, elsewhere by the worker that has them."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from core.access import Who
from core.cli import run
from core.client import Workbench, artifact_folder, scratch_folder
from core.errors import BadInput, IllegalMove, NotAllowed
from core.store.claims import Kept
from core.training.checkpoints import newest_checkpoint
from core.values import Trouble
from tests.queue.test_leavings import with_checkpoints
from worker.leavings import clear_up
from worker.sweep import RUBBISH_AGE_S, remove_rubbish


def held(workbench: Workbench, *steps: int) -> tuple[str, Path]:
    job_id, folder = with_checkpoints(workbench, *steps)
    workbench.store.keep_result(job_id, 1, {"checkpoint_bytes": 100})
    workbench.pause(job_id)
    workbench.store.give_back(job_id, 1, "the worker stopped")
    return job_id, folder


def failed(workbench: Workbench, *steps: int) -> tuple[str, Path]:
    """With its newest checkpoint as an artifact; the folder of that."""
    job_id, _ = with_checkpoints(workbench, *steps)
    workbench.store.fail(job_id, 1, Trouble(code="nan_logits", message="It is none."), Kept())
    clear_up(workbench.settings.home, workbench.store, job_id)
    [kept] = workbench.show(job_id).artifacts
    return job_id, artifact_folder(workbench.settings.home, kept.id)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_paused_run_keeps_the_newest_and_what_was_promised_is_free(workbench: Workbench) -> None:
    job_id, folder = held(workbench, 2, 4, 6)
    before = size(folder)
    promised = workbench.deletable_bytes(workbench.show(job_id))
    assert workbench.delete_checkpoints(job_id) == promised == before - size(folder) > 0
    newest = newest_checkpoint(folder)
    assert newest
    assert names(folder) == ["checkpoint-6", "checkpoint-99"]  # the last was cut off, and is no checkpoint
    assert newest.name == "checkpoint-6"
    assert (newest / "optimizer.pt").read_bytes() == b"states"
    assert (workbench.show(job_id).result or {})["checkpoint_bytes"] == 100 - promised
    with pytest.raises(BadInput, match="no checkpoints that could be deleted"):
        workbench.delete_checkpoints(job_id)


def test_a_run_that_has_ended_keeps_none(workbench: Workbench) -> None:
    job_id, kept = failed(workbench, 2, 4)
    scratch = scratch_folder(workbench.settings.home, job_id) / "checkpoints" / "checkpoint-4"
    scratch.mkdir(parents=True)
    (scratch / "optimizer.pt").write_bytes(b"left by a worker that was killed")
    promised = workbench.deletable_bytes(workbench.show(job_id))
    assert workbench.delete_checkpoints(job_id) == promised
    assert workbench.show(job_id).artifacts == ()
    assert not kept.exists()
    assert not scratch.exists()
    assert names(kept.parent) == []


def test_while_it_runs_it_is_refused_in_a_sentence_and_so_is_a_stranger(workbench: Workbench) -> None:
    job_id, folder = with_checkpoints(workbench, 2, 4)
    assert workbench.deletable_bytes(workbench.show(job_id)) == 0
    with pytest.raises(IllegalMove, match="is running"):
        workbench.delete_checkpoints(job_id)
    workbench.pause(job_id)
    workbench.store.give_back(job_id, 1, "the worker stopped")
    with pytest.raises(NotAllowed):
        workbench.acting_for(Who("ben")).delete_checkpoints(job_id)
    assert names(folder) == ["checkpoint-2", "checkpoint-4", "checkpoint-99"]


def test_a_kill_in_the_middle_leaves_no_half_checkpoint_and_the_sweep_ends_the_work(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, store = workbench.settings.home, workbench.store
    of_held, folder = held(workbench, 2, 4)
    of_failed, kept = failed(workbench, 3)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", _killed)
        for job_id in (of_held, of_failed):
            with pytest.raises(KeyboardInterrupt):
                workbench.delete_checkpoints(job_id)
    assert newest_checkpoint(folder) == folder / "checkpoint-4"
    assert ".checkpoint-2.removed" in names(folder)
    assert not kept.exists()
    clear_up(home, store, of_held)
    assert names(folder) == ["checkpoint-4", "checkpoint-99"]
    beside = kept.with_name(f".{kept.name}.removed")
    os.utime(beside, (time.time() - 2 * RUBBISH_AGE_S,) * 2)
    remove_rubbish(home / "artifacts", store.artifact_ids())
    assert not beside.exists()


def _killed(folder: Path, **_: object) -> None:
    if folder.exists():
        raise KeyboardInterrupt


def test_where_they_lie_elsewhere_the_worker_there_deletes_them(workbench: Workbench, tmp_path: Path) -> None:
    job_id, folder = held(workbench, 2, 4)
    elsewhere = tmp_path / "elsewhere"
    there = scratch_folder(elsewhere, job_id)
    there.parent.mkdir(parents=True)
    folder.parent.rename(there)
    clear_up(elsewhere, workbench.store, job_id)
    assert names(there / "checkpoints") == ["checkpoint-2", "checkpoint-4", "checkpoint-99"]
    assert workbench.delete_checkpoints(job_id) == 0
    clear_up(elsewhere, workbench.store, job_id)
    assert names(there / "checkpoints") == ["checkpoint-4", "checkpoint-99"]
    workbench.cancel(job_id)
    clear_up(elsewhere, workbench.store, job_id)
    assert [one.name for one in workbench.show(job_id).artifacts] == ["checkpoint-4"]  # it was to be kept


def test_what_an_attempt_writes_after_the_deletion_is_kept(workbench: Workbench) -> None:
    job_id, folder = held(workbench, 2, 4)
    workbench.delete_checkpoints(job_id)
    workbench.resume(job_id)
    assert workbench.store.claim("batch", "w", 30)
    (folder / "checkpoint-6").mkdir()
    (folder / "checkpoint-6" / "clock.json").write_text("{}")
    workbench.pause(job_id)
    workbench.store.give_back(job_id, 2, "the worker stopped")
    clear_up(workbench.settings.home, workbench.store, job_id)
    assert names(folder) == ["checkpoint-4", "checkpoint-6", "checkpoint-99"]


def test_on_the_command_line_it_asks_first_and_says_what_is_free(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("home", "redis_url", "redis_prefix"):
        monkeypatch.setenv(f"WORKBENCH_{name.upper()}", str(getattr(workbench.settings, name)))
    job_id, folder = held(workbench, 2, 4)
    n_bytes = workbench.deletable_bytes(workbench.show(job_id))
    assert run(["delete", job_id, "--checkpoints"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert (folder / "checkpoint-2").exists()
    assert run(["delete", job_id, "--checkpoints", "--yes"]) == 0
    assert f"all checkpoints but the newest are deleted; {n_bytes} B are free again." in capsys.readouterr().out
    other, _ = failed(workbench, 5)
    assert run(["delete", other, "--checkpoints", "--yes", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["id"], said["artifacts"]) == (other, [])
    assert said["freed_bytes"] > 0
