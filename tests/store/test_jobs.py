"""What people do to jobs, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.access import Who
from core.errors import IllegalMove, NotFound
from core.ids import new_id
from core.states import State
from core.store import Store
from core.store.claims import Kept
from core.store.jobs import NewJob
from core.store.queries import JobFilter
from core.values import MadeBy, Measurement, Sample, Trouble, Visibility

NEW = NewJob(kind="quick", queue="interactive", owner="ana", spec={"text": "hello"}, name="hello", words="hello world")
MADE_BY = MadeBy(model="m", precision="float32", device="cpu", seed=7)


def submit(store: Store, **changes: object) -> str:
    return store.submit(replace(NEW, **changes))[0].id  # type: ignore[arg-type]


def finish(store: Store, text: str = "done") -> str:
    claim = store.claim("interactive", "w", 30)
    assert claim is not None
    kept = Kept([Measurement(name="speed", value=2.5, unit="tokens/s")], [Sample(completion=text, made_by=MADE_BY)])
    store.finish(claim.job_id, claim.attempt, State.SUCCEEDED, {"text": text}, kept, text)
    return claim.job_id


def test_a_submitted_job_waits_with_its_first_event(store: Store) -> None:
    job = store.job(submit(store))
    assert (job.state, job.owner, job.attempt, job.spec) == (State.QUEUED, "ana", 0, {"text": "hello"})
    assert [event.kind for event in store.events(job.id)] == ["queued"]


def test_ids_rise_so_that_newer_jobs_sort_later(store: Store) -> None:
    ids = [submit(store) for _ in range(50)]
    assert ids == sorted(ids)
    assert [job.id for job in store.jobs(Who("ana"), JobFilter())] == ids[::-1]


def test_a_key_makes_a_double_click_one_job(store: Store) -> None:
    first, again = store.submit(replace(NEW, key="k")), store.submit(replace(NEW, key="k", spec={"text": "other"}))
    assert first[0] == again[0]
    assert (first[1], again[1]) == (True, False)
    assert store.submit(replace(NEW, key="k", owner="ben"))[1] is True


def test_a_finished_job_keeps_result_measurements_and_samples(store: Store) -> None:
    submit(store)
    job = store.job(finish(store))
    assert job.state is State.SUCCEEDED
    assert job.result == {"text": "done"}
    assert job.measurements == (Measurement(name="speed", value=2.5, unit="tokens/s"),)
    assert job.samples[0].made_by == MADE_BY
    assert job.finished_at is not None
    assert job.started_at is not None
    assert job.created_at <= job.started_at <= job.finished_at
    assert [event.kind for event in store.events(job.id)] == ["queued", "claimed", "succeeded"]
    assert [attempt.outcome for attempt in store.attempts(job.id)] == ["succeeded"]


def test_a_queued_job_is_cancelled_at_once(store: Store) -> None:
    job_id = submit(store)
    assert store.cancel(job_id, "ana") is State.CANCELLED
    assert store.claim("interactive", "w", 30) is None
    assert store.job(job_id).finished_at is not None


def test_a_running_job_is_asked_to_stop(store: Store) -> None:
    job_id = submit(store)
    store.claim("interactive", "w", 30)
    assert store.cancel(job_id, "ana") is State.RUNNING
    assert store.pulse([(job_id, 1)])[job_id].is_cancel_requested


def test_a_finished_job_cannot_be_cancelled(store: Store) -> None:
    submit(store)
    with pytest.raises(IllegalMove, match="already succeeded"):
        store.cancel(finish(store), "ana")


def test_a_failed_job_keeps_sentence_hint_and_traceback(store: Store) -> None:
    job_id = submit(store)
    store.claim("interactive", "w", 30)
    store.fail(job_id, 1, Trouble(code="out_of_memory", message="Too big.", hint="Smaller."), Kept(), "Traceback …")
    job = store.job(job_id)
    assert job.error == Trouble(code="out_of_memory", message="Too big.", hint="Smaller.")
    assert store.attempts(job_id)[0].traceback == "Traceback …"


def test_a_deleted_job_takes_all_that_hangs_on_it_along(store: Store) -> None:
    submit(store)
    job_id = finish(store)
    assert store.delete(job_id) == []
    with pytest.raises(NotFound):
        store.job(job_id)
    assert store.events(job_id) == []
    assert store.attempts(job_id) == []


def test_a_running_job_is_not_deleted(store: Store) -> None:
    job_id = submit(store)
    store.claim("interactive", "w", 30)
    with pytest.raises(IllegalMove, match="is running"):
        store.delete(job_id)


def test_a_name_and_a_note_can_be_given(store: Store) -> None:
    job_id = submit(store)
    store.describe(job_id, name="better", note="why")
    job = store.job(job_id)
    assert (job.name, job.note) == ("better", "why")


@pytest.mark.parametrize("act", ["job", "delete", "describe", "cancel"])
def test_what_is_not_there_is_not_found(store: Store, act: str) -> None:
    arguments = [new_id(), "ana"] if act == "cancel" else [new_id()]
    with pytest.raises(NotFound):
        getattr(store, act)(*arguments)


def test_jobs_are_found_by_every_word_of_prompt_answer_and_name(store: Store) -> None:
    submit(store, words="Why is the sky blue?", name="sky")
    job_id = finish(store, "Because 100% of Rayleigh_scattering")
    submit(store, words="something else")

    def found(words: str) -> list[str]:
        return [job.id for job in store.jobs(Who("ana"), JobFilter(words=words))]

    assert found("SKY rayleigh") == [job_id]
    assert found("100%") == [job_id]
    assert found("rayleigh_s") == [job_id]
    assert found("r%leigh") == []
    assert len(found("")) == 2


def test_jobs_are_filtered_by_kind_state_owner_and_model(store: Store) -> None:
    first = submit(store, model="m1")
    other = submit(store, owner="ben", kind="long", queue="batch", model="m2")
    who = Who("ana")
    for wanted in (JobFilter(kind="long"), JobFilter(owner="ben"), JobFilter(model="m2")):
        assert [job.id for job in store.jobs(who, wanted)] == [other]
    store.cancel(first, "ana")
    assert [job.id for job in store.jobs(who, JobFilter(state="cancelled"))] == [first]
    assert store.count_jobs(who, JobFilter()) == 2


def test_pages_of_jobs_follow_each_other_without_gap_or_repeat(store: Store) -> None:
    ids = [submit(store) for _ in range(7)]
    page = store.jobs(Who("ana"), JobFilter(), limit=4)
    rest = store.jobs(Who("ana"), JobFilter(), before=page[-1].id, limit=4)
    assert [job.id for job in (*page, *rest)] == ids[::-1]


def test_a_private_job_is_seen_by_its_owner_and_administrators_alone(store: Store) -> None:
    job_id = submit(store, visibility=Visibility.PRIVATE)
    assert store.jobs(Who("ben"), JobFilter()) == []
    assert store.count_jobs(Who("ben"), JobFilter()) == 0
    assert [job.id for job in store.jobs(Who("ana"), JobFilter())] == [job_id]
    assert [job.id for job in store.jobs(Who("root", is_administrator=True), JobFilter())] == [job_id]
