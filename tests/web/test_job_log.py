from __future__ import annotations

import re
from html import unescape

from starlette.testclient import TestClient

from core.access import Who
from core.client import Workbench
from core.store.claims import Kept
from core.values import Metric, Visibility
from tests.training.test_tensorboard import expected, points
from tests.web import trainings
from tests.web.test_job_view import rendered
from tests.web.test_train import finish, run_of
from web.job_log import MOST_LINES


def lines(workbench: Workbench, job: str) -> list[str]:
    """What a viewer reads."""
    html = rendered(workbench, job)["log"]
    return [unescape(re.sub(r"<[^>]+>", "", line)).strip() for line in re.findall(r"</span> <span>(.*?)</li>", html)]


def test_events_and_evaluations_are_told_in_the_order_of_time(workbench: Workbench) -> None:
    job = workbench.submit("sft", {})
    store = workbench.store
    assert store.claim("batch", "w", 60)
    tried = trainings.result().preflight
    assert tried
    store.add_event(job.id, 1, "noted", {"text": "Keeps activations: all takes 1.29 GB of 11.2 GB."})
    store.add_event(job.id, 1, "preflight", tried.model_dump(mode="json"))
    now = workbench.events(job.id)[-1].at
    evaluated = {"eval_loss": 4.1234, "perplexity": 61.77}
    store.keep(job.id, 1, Kept(metrics=[Metric(step=10, sort="eval", values=evaluated, at=now + 1e-6)]))
    store.add_event(job.id, 1, "saved", {"step": 1200, "n_bytes": 58_900_000})
    store.give_back(job.id, 1, "the worker stopped")
    assert store.claim("batch", "w2", 60)
    store.add_event(job.id, 2, "went_on", {"step": 1200})
    store.add_event(job.id, 2, "alarm", {"step": 1250, "text": "KL is beyond its bound."})
    assert lines(workbench, job.id) == [
        f"queued by {job.owner}",
        "attempt 1 began on w",
        "Keeps activations: all takes 1.29 GB of 11.2 GB",
        "pre-flight: peak 1.31 GB, predicted 1.29 GB; 1.87 s a step, 1 min 54 s for the run",
        "evaluated after step 10: held-out loss 4.123, perplexity 61.77",
        "checkpoint saved at step 1,200; 58.9 MB of disk in all",
        "given back to the queue: the worker stopped",
        "attempt 2 began on w2",
        "goes on from the checkpoint of step 1,200",
        "sign at step 1,250: KL is beyond its bound",
    ]
    assert "sign at step 1,250" in rendered(workbench, job.id)["log_last"]
    assert rendered(workbench, job.id)["happened"] == ""


def test_a_job_that_logs_curves_has_a_log_whatever_its_kind_is_called(workbench: Workbench) -> None:
    job = workbench.submit("long", {})
    assert workbench.store.claim("batch", "w", 60)
    assert rendered(workbench, job.id)["happened"]
    logged = [
        Metric(step=1, values={"reward/mean": 0.5, "kl": 0.1}, at=1.0),
        Metric(step=1, sort="eval", values={"eval_reward": 0.25}, at=2.0),
    ]
    workbench.store.keep(job.id, 1, Kept(metrics=logged))
    assert "evaluated after step 1: eval_reward 0.2500" in lines(workbench, job.id)[0]
    assert f'href="/curves/{job.id}"' in rendered(workbench, job.id)["curves_file"]


def test_a_very_long_log_shows_its_end(workbench: Workbench) -> None:
    job = run_of(workbench)
    logged = [Metric(step=n, sort="eval", values={"eval_loss": 1.0}, at=2e9 + n) for n in range(1, MOST_LINES + 50)]
    workbench.store.keep(job.id, 1, Kept(metrics=logged))
    html = rendered(workbench, job.id)["log"]
    assert "2 earlier lines are left out" in html  # that it was queued and began; of evaluations the last are read
    assert f"evaluated after step {MOST_LINES + 49}" in html


def test_words_of_a_stranger_are_shown_as_text(workbench: Workbench) -> None:
    job = run_of(workbench)
    workbench.store.add_event(job.id, 1, "noted", {"text": "<img src=x onerror=alert(1)>"})
    for part in ("log", "log_last"):
        assert "<img" not in rendered(workbench, job.id)[part]


def test_the_curves_are_saved_for_tensorboard_as_they_stand(workbench: Workbench, web: TestClient) -> None:
    job = run_of(workbench, 20)
    for step in (21, 22):
        answer = web.get(f"/curves/{job.id}")
        assert answer.status_code == 200
        assert points(answer.content) == expected(list(workbench.metrics(job.id)))
        assert "events.out.tfevents." in answer.headers["content-disposition"]
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-security-policy"].startswith("sandbox")
        workbench.store.keep(job.id, 1, Kept(metrics=trainings.metrics(step, step)))
    finish(workbench, job)
    assert 'href="/curves/' in rendered(workbench, job.id)["curves_file"]


def test_curves_are_sent_to_those_who_may_see_the_job(workbench: Workbench, member: TestClient) -> None:
    web = member
    job = run_of(workbench, 2)
    queued = workbench.submit("sft", {})
    for path in (f"/curves/{'0' * 26}", "/curves/..%2f..%2fetc", f"/curves/{queued.id}"):
        assert web.get(path).status_code == 404
    asked = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert web.get(f"/curves/{job.id}", headers=asked).status_code == 403
    theirs = workbench.acting_for(Who("ben")).submit("sft", {}, visibility=Visibility.PRIVATE)
    assert workbench.store.claim("batch", "w", 60)
    workbench.store.keep(theirs.id, 1, Kept(metrics=trainings.metrics(2)))
    refused = web.get(f"/curves/{theirs.id}")
    assert (refused.status_code, refused.text) == (404, f"There is no job {theirs.id}.")
