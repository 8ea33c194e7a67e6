"""A recorded job at the moments of its life: nothing is shown before it was known."""

from __future__ import annotations

import pytest

from core.diff import comparison_of
from core.pipeline.values import PipelineReport
from core.recording.replay import MOST_MOMENTS, Replay
from core.recording.values import RecordedJob, Recording
from core.states import State
from tests.recording import made
from tests.web import trainings
from web.train_results import result_of

TRAINING = Replay(made.recording(made.training()))


@pytest.mark.parametrize(
    "whole",
    [
        made.recording(made.training()),
        made.recording(made.comparison()),
        made.recording(made.generation()),
        made.pipeline(),
    ],
)
def test_from_its_end_on_a_job_is_as_it_was_recorded(whole: Recording) -> None:
    replay = Replay(whole)
    assert replay.at(replay.seconds) == replay.job == replay.at(replay.seconds + 1e6)
    assert replay.events(replay.seconds) == replay.recorded.events
    before = replay.at(replay.seconds - 0.01)
    assert not before.state.is_finished
    assert (before.samples, before.measurements, before.finished_at, before.error) == ((), (), None, None)


def test_a_training_shows_its_steps_answers_and_progress_as_they_came() -> None:
    job = TRAINING.at(2 * 25 + 0.5)
    found = result_of(job)
    assert found
    assert job.state is State.RUNNING
    assert job.progress
    assert (found.step, job.progress.current, job.progress.total) == (25, 25, 60)
    assert {one.step for one in found.tries} == {0, 10, 20}
    assert (found.text, found.judged, found.perplexity, found.loss_last) == ("", (), None, None)
    assert job.artifacts == ()
    assert found.data == trainings.FACTS
    assert [one.step for one in TRAINING.evaluations(50.5)] == [10, 20]


def test_answers_of_a_step_come_after_its_evaluation() -> None:
    late = made.training()
    moved = [one.model_copy(update={"at": one.at + 1}) if one.sort == "eval" else one for one in late.metrics]
    replay = Replay(made.recording(late.model_copy(update={"metrics": tuple(moved)})))

    def steps(seconds: float) -> set[int]:
        found = result_of(replay.at(seconds))
        return {one.step for one in found.tries} if found else set()

    assert steps(20.5) == {0}
    assert steps(21) == {0, 10}


def test_alarms_come_at_their_steps() -> None:
    alarms = [{"step": 24, "sign": "one word", "message": "x"}, {"step": 41, "sign": "KL", "message": "y"}]
    replay = Replay(made.recording(made.training(result={"alarms": alarms})))
    assert [len((replay.at(2 * step).result or {})["alarms"]) for step in (23, 24, 40, 41)] == [0, 1, 1, 2]


def test_before_it_began_to_learn_a_training_has_no_result() -> None:
    assert TRAINING.at(1).result is None
    assert TRAINING.at(1).state is State.RUNNING


def test_variants_of_a_comparison_come_one_after_the_other_and_their_speeds_last() -> None:
    recorded = made.comparison()
    replay = Replay(made.recording(recorded))
    whole = comparison_of(recorded.job)
    assert whole
    measured = [one.name for one in whole.variants if one.state == "succeeded"]
    found = comparison_of(replay.at(15))
    assert found
    assert [one.state.value for one in found.variants if one.name in measured][:3] == ["succeeded", "running", "queued"]
    after = comparison_of(replay.at(10.0 * len(measured) + 1))
    assert after
    assert {one.state for one in after.variants} == {one.state for one in whole.variants}
    assert after.recommendation is None
    for one in after.variants:
        assert (one.tokens_per_s, one.time_to_first_token_s, one.speed_ratio) == (None, None, None)
        assert all((each.tokens_per_s, each.ratio) == (None, None) for each in one.decode)
        assert all((each.time_to_first_token_s, each.ratio) == (None, None) for each in one.prefill)
    assert any(one.tokens_per_s for one in whole.variants)


def test_the_reference_comes_first_though_it_is_listed_last() -> None:
    recorded = made.comparison()
    result = {**(recorded.job.result or {})}
    result["variants"] = result["variants"][::-1]
    turned = RecordedJob(job=recorded.job.model_copy(update={"result": result}), events=recorded.events)
    found = comparison_of(Replay(made.recording(turned)).at(5))
    assert found
    assert [one.name for one in found.variants if one.state == "running"] == [found.reference]


def test_the_steps_of_a_pipeline_wait_run_and_succeed() -> None:
    replay = Replay(made.pipeline())

    def states(seconds: float) -> list[str]:
        return [one.state.value for one in PipelineReport.model_validate(replay.at(seconds).result).steps]

    assert states(1) == ["running", "waiting"]
    assert states(135) == ["succeeded", "queued"]
    assert states(150) == ["succeeded", "running"]
    assert replay.at(150).state is State.RUNNING
    assert {130.0, 140.0, 200.0} <= set(replay.moments())


def test_a_job_that_was_given_back_waits_again_and_has_its_next_attempt() -> None:
    events = list(made.told(100))
    given = [
        events[1].model_copy(update={"seq": 3, "at": made.BEGUN + 20, "kind": "lost"}),
        events[1].model_copy(update={"seq": 4, "at": made.BEGUN + 40, "attempt": 2}),
    ]
    one = RecordedJob(job=made.job("merge", 100), events=(*events[:2], *given, events[2]))
    replay = Replay(made.recording(one))
    assert [(replay.at(at).state.value, replay.at(at).attempt) for at in (10, 30, 50)] == [
        ("running", 1), ("queued", 1), ("running", 2),
    ]  # fmt: skip


def test_the_moments_of_a_long_training_are_bounded_and_in_order() -> None:
    long = made.training()
    many = [one.model_copy(update={"step": n, "at": made.BEGUN + n / 100}) for n, one in enumerate(long.metrics * 80)]
    moments = Replay(made.recording(long.model_copy(update={"metrics": tuple(many)}))).moments()
    assert moments == sorted(set(moments))
    assert moments[0] == 0
    assert moments[-1] == 130
    assert len(moments) < MOST_MOMENTS + 20
