"""The client that pages, command line and Python share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.access import Who
from core.client import Workbench
from core.errors import BadInput, NotAllowed, NotFound, NoWorker
from core.settings import Settings
from core.states import State
from core.values import Visibility
from tests.queue.test_life import ended, worker


def test_bad_input_is_refused_before_anything_is_queued(workbench: Workbench) -> None:
    for kind, spec in (("quick", {"seconds": -1}), ("quick", {"nonsense": 1}), ("sing", {})):
        with pytest.raises(BadInput):
            workbench.submit(kind, spec)
    with pytest.raises(BadInput, match="between -100 and 100"):
        workbench.submit("quick", {}, priority=101)
    with pytest.raises(NotFound):
        workbench.submit("quick", {}, parent="0" * 26)
    assert workbench.count() == 0


def test_a_job_is_found_by_the_end_of_its_id(workbench: Workbench) -> None:
    job = workbench.submit("quick", {})
    assert workbench.show(job.id[-8:].lower()).id == job.id
    with pytest.raises(NotFound):
        workbench.show("no such job")


def test_a_second_submission_with_the_same_key_is_the_same_job(workbench: Workbench) -> None:
    assert workbench.submit("quick", {}, key="k").id == workbench.submit("quick", {}, key="k").id
    assert workbench.count() == 1


def test_a_retry_is_a_new_job_that_names_the_old_one(workbench: Workbench) -> None:
    job = workbench.submit("quick", {"text": "again"}, name="mine")
    with pytest.raises(BadInput, match="only a finished job"):
        workbench.retry(job.id)
    workbench.cancel(job.id)
    again = workbench.retry(job.id)
    assert (again.retry_of, again.spec, again.name, again.state) == (job.id, job.spec, "mine", State.QUEUED)


def test_somebody_elses_job_can_be_seen_but_not_changed(workbench: Workbench) -> None:
    job = workbench.submit("quick", {})
    ben = workbench.acting_for(Who("ben"))
    assert ben.show(job.id).id == job.id
    for act in (ben.cancel, ben.delete, lambda job_id: ben.describe(job_id, note="mine now")):
        with pytest.raises(NotAllowed):
            act(job.id)


def test_a_private_job_does_not_exist_for_others(workbench: Workbench) -> None:
    job = workbench.submit("quick", {}, visibility=Visibility.PRIVATE)
    ben = workbench.acting_for(Who("ben"))
    for act in (ben.show, ben.cancel, ben.delete, ben.retry, ben.events, ben.attempts, lambda j: next(ben.watch(j))):
        with pytest.raises(NotFound):
            act(job.id)


def test_watching_without_a_living_worker_says_so_at_once(workbench: Workbench) -> None:
    job = workbench.submit("quick", {})
    with pytest.raises(NoWorker, match="no worker runs that takes interactive jobs"):
        list(workbench.watch(job.id))
    assert workbench.show(job.id).state is State.QUEUED


def test_a_name_is_trimmed_and_an_empty_or_endless_one_refused(workbench: Workbench) -> None:
    job = workbench.submit("quick", {})
    assert workbench.describe(job.id, name="  mine ").name == "mine"
    for name, note in (("  ", None), ("x" * 201, None), (None, "x" * 10_001)):
        with pytest.raises(BadInput):
            workbench.describe(job.id, name=name, note=note)


def test_a_client_without_a_broker_still_queues(settings: Settings) -> None:
    workbench = Workbench.open(settings.model_copy(update={"redis_url": ""}))
    assert workbench.submit("quick", {}).state is State.QUEUED
    workbench.close()


def test_page_and_worker_may_have_homes_of_their_own(settings: Settings, workbench: Workbench, tmp_path: Path) -> None:
    away = tmp_path / "elsewhere"
    away.mkdir()
    other_home = settings.model_copy(update={"home": away, "database_url": settings.database})
    with worker(other_home, "interactive"), worker(other_home, "batch"):
        job = workbench.submit("quick", {"text": "one two"})
        assert "".join(update.text for update in workbench.watch(job.id)) == "one two "
        made = ended(workbench, workbench.submit("long", {"trouble": "artifact"}))
    assert (away / "artifacts" / made.artifacts[0].id / "report.txt").exists()
    assert not (settings.home / "artifacts").exists()


def test_an_import_of_the_client_brings_no_torch() -> None:
    heavy = "torch", "transformers", "gradio", "datasets"
    code = f"import sys, core.client; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_home_can_be_moved(settings: Settings, workbench: Workbench, tmp_path: Path) -> None:
    job = workbench.submit("quick", {})
    workbench.close()
    moved = shutil.copytree(settings.home, tmp_path / "moved")
    there = Workbench.open(settings.model_copy(update={"home": moved}))
    assert there.show(job.id).id == job.id
    there.close()
