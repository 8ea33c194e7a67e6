"""Recording a job of a workbench: all that it did, from the stream where that is still there, and nothing private."""

from __future__ import annotations

import getpass
import json
import platform
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.cli import workbench as command
from core.client import Workbench
from core.errors import BadInput, NotFound
from core.recording.file import read
from core.recording.take import About
from core.recording.values import Words
from core.settings import Settings
from core.states import State
from core.store.claims import Kept
from core.values import MadeBy, Measurement, Metric, Sample, Trouble
from tests.support import eventually
from tests.web import trainings
from tests.web.fake_worker import FakeWorker

HOST, USER, TOKEN = "gpu-box-7.lab.example", "anastasia", "hf_abcdefghijklmnopqrstuvwx"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"user": USER})


@pytest.fixture
def answered(workbench: Workbench) -> str:
    """A job whose answer came over the stream."""
    worker = FakeWorker(workbench.settings, pause_s=0.002)
    worker.start()
    job = workbench.submit("generate", {"prompt": "Why?"})
    eventually(lambda: workbench.show(job.id).state.is_finished)
    worker.stop()
    return job.id


def test_a_text_is_recorded_with_the_times_of_its_stream(workbench: Workbench, answered: str) -> None:
    made = workbench.record(answered)
    (one,) = made.jobs
    assert one.text
    assert one.text.words is Words.STREAM
    whole = str((one.job.result or {})["text"])
    assert one.text.pieces[-1][1] == len(whole)
    assert [at for at, _ in one.text.pieces] == sorted(at for at, _ in one.text.pieces)
    assert len(one.text.pieces) > len(whole) / 20
    assert (one.job.measurements, one.job.samples) == (
        workbench.show(answered).measurements,
        workbench.show(answered).samples,
    )
    assert [event.kind for event in one.events] == [event.kind for event in workbench.events(answered)]
    assert [(each.attempt, each.device) for each in one.attempts] == [(1, "cpu")]
    assert made.machine.device == "cpu"


def test_without_its_stream_a_text_is_reconstructed_from_the_measured_speed(
    workbench: Workbench, answered: str
) -> None:
    assert workbench._redis
    workbench._redis.delete(workbench.keys.job(answered))
    (one,) = workbench.record(answered).jobs
    assert one.text
    assert one.text.words is Words.RECONSTRUCTED
    assert one.text.pieces[-1] == (one.job.finished_at, len(str((one.job.result or {})["text"])))
    assert one.job.started_at
    assert all(at >= one.job.started_at for at, _ in one.text.pieces)


def test_a_stream_that_has_lost_its_beginning_is_not_taken(workbench: Workbench, answered: str) -> None:
    assert workbench._redis
    key = workbench.keys.job(answered)
    first = next(at for at, entry in workbench.entries(answered) if "t" in entry)
    workbench._redis.xdel(key, first)
    (one,) = workbench.record(answered).jobs
    assert one.text
    assert one.text.words is Words.RECONSTRUCTED


def hostile(workbench: Workbench) -> str:
    """A job that holds what is private wherever a job can hold something."""
    home = workbench.settings.home
    said = f"{home}/models/x of {HOST}, {USER}, {TOKEN}, pid 4711, {Path.home()}/.cache/y, redis://u:{TOKEN}@h/0"
    job = workbench.submit("generate", {"prompt": said, "system": said, "model": f"{home}/models/x"}, name=said[:200])
    workbench.describe(job.id, note=said)
    claim = workbench.store.claim("interactive", f"{HOST}/interactive/4711", 60, "CPU")
    assert claim
    made = MadeBy(model=f"{home}/models/x", adapter=said, precision="float32", device="CPU", versions={"torch": said})
    kept = Kept(
        measurements=[Measurement(name="time_to_first_token_s", value=1, unit="s")],
        samples=[Sample(prompt=said, completion=said, made_by=made)],
        metrics=[Metric(step=1, values={"loss": 1.0})],
    )
    workbench.store.add_event(job.id, 1, "noted", {"text": said, "by": USER})
    if workbench.who.name == USER:
        workbench.cancel(job.id)
    workbench.store.fail(job.id, 1, Trouble(code="x", message=said, hint=said), kept, f"Traceback in {home}: {said}")
    return job.id


def test_nothing_private_of_a_hostile_job_is_in_its_file(workbench: Workbench, tmp_path: Path) -> None:
    job = hostile(workbench)
    made = workbench.record(job, About(name="hostile"))
    text = made.model_dump_json()
    private = (str(workbench.settings.home), str(Path.home()), HOST, USER, TOKEN, "4711", platform.node(), "Traceback")
    assert [word for word in private if word in text] == []
    assert made.whole.owner == "recorded"
    assert made.whole.note == ""
    assert made.whole.worker is None
    assert made.whole.state is State.FAILED
    assert "x of host" in made.title
    if (login := getpass.getuser()) not in ("root", "me"):
        assert login not in text


def test_a_training_is_recorded_with_its_curves(workbench: Workbench) -> None:
    job = workbench.submit("sft", {"max_steps": 60})
    assert workbench.store.claim("batch", "w", 60)
    workbench.store.keep(job.id, 1, Kept(metrics=trainings.metrics(60)))
    with pytest.raises(BadInput, match="is running"):
        workbench.record(job.id)
    workbench.store.finish(job.id, 1, State.SUCCEEDED, trainings.result().model_dump(mode="json"), Kept())
    (one,) = workbench.record(job.id).jobs
    assert list(one.metrics) == workbench.metrics(job.id)
    assert one.text is None


def test_a_pipeline_is_recorded_with_its_steps_under_their_names(workbench: Workbench) -> None:
    steps = [{"name": "sft", "kind": "sft", "fields": {"max_steps": 60}}]
    job = workbench.submit("pipeline", {"steps": steps}, name="Whole")
    claim = workbench.store.claim("batch", "w", 60)
    assert claim
    workbench.store.finish(claim.job_id, 1, State.SUCCEEDED, trainings.result().model_dump(mode="json"), Kept())
    workbench._pipelining.advance(job.id)
    made = workbench.record(job.id)
    assert [(one.job.kind, one.job.step) for one in made.jobs] == [("pipeline", None), ("sft", "sft")]
    assert made.jobs[1].job.pipeline_id == made.whole.id
    assert made.step("sft") is made.jobs[1]
    assert made.step("none") is None
    (alone,) = workbench.record(claim.job_id).jobs
    assert (alone.job.step, alone.job.pipeline_id) == (None, None)


def test_only_what_one_may_see_can_be_recorded(workbench: Workbench) -> None:
    with pytest.raises(NotFound):
        workbench.record("01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_a_name_that_no_address_can_have_is_refused(workbench: Workbench, answered: str) -> None:
    for name in ("../up", "Upper", "a b", "-x"):
        with pytest.raises(BadInput, match="name"):
            workbench.record(answered, About(name=name))


def test_the_command_writes_a_file_that_reads_back(
    workbench: Workbench, answered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(workbench.settings.home))
    arguments = [
        "record",
        answered,
        "--to",
        str(tmp_path / "to"),
        "--name",
        "sky",
        "--note",
        "Idle.",
        "--commit",
        "abc",
        "--json",
    ]
    done = CliRunner().invoke(command, arguments)
    told = json.loads(done.output)
    assert Path(told["path"]) == tmp_path / "to" / "sky.json.gz"
    found = read(Path(told["path"]))
    assert (found.name, found.note, found.commit, found.whole.id) == ("sky", "Idle.", "abc", answered)
