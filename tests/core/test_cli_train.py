from __future__ import annotations

from typing import Any

import pytest

from core.cli_printers import printer_of
from core.client import Workbench
from core.states import State
from core.store.claims import Kept
from core.values import Job
from tests.web import trainings
from tests.web.merges import report
from tests.web.previews import WARNING, previewed

EVIL = "\x1b[31m\x07"


def ended(workbench: Workbench, kind: str, spec: dict[str, Any], body: dict[str, Any]) -> Job:
    job = workbench.submit(kind, spec)
    claim = workbench.store.claim(job.queue, "w", 60)
    assert claim
    workbench.store.finish(job.id, 1, State.SUCCEEDED, body, Kept())
    return workbench.show(job.id)


def said(job: Job) -> str:
    printer = printer_of(job.kind)
    assert printer
    found = printer.result(job)
    assert found is not None
    return found


def test_a_training_is_told_in_a_sentence_with_its_last_answers(workbench: Workbench) -> None:
    body = trainings.result(notes=(f"a note{EVIL}",)).model_dump(mode="json")
    told = said(ended(workbench, "sft", {}, body))
    assert told.startswith("Perplexity of held-out rows 120.3 → 76.0 in 60 steps of lora")
    assert "reviews: 1,900 rows learned, 100 held out (sha256 3f7a3f7a3f7a)" in told
    assert "ANSWER AT STEP 60" in told
    assert "a quiet triumph of its kind." in told
    assert told.endswith("a note[31m")


def test_each_evaluation_is_news_once(workbench: Workbench) -> None:
    job = ended(workbench, "sft", {}, trainings.result().model_dump(mode="json"))
    printer = printer_of("sft")
    assert printer
    assert list(printer.news(None, job)) == ["step 60: held-out loss 4.331, perplexity 76.0"]
    assert list(printer.news(job, job)) == []


def test_a_merge_is_told_by_its_verdict_and_figures(workbench: Workbench) -> None:
    told = said(ended(workbench, "merge", {"adapter": "org/a"}, report().model_dump(mode="json")))
    assert told.startswith("PASS: Merged in float32")
    assert "AGAINST BASE + ADAPTER" in told
    assert "1 of 2 greedy answers are equal." in told


def test_a_preview_lists_bad_rows_and_brackets_what_is_learned(workbench: Workbench) -> None:
    told = said(
        ended(
            workbench, "preview", {"max_length": 48}, previewed({"data": "x", "max_length": 48}).model_dump(mode="json")
        )
    )
    assert "3 rows (25.0 %) are cut off at 48 tokens." in told
    assert f"! {WARNING} (4 rows, first line 3)" in told
    assert "line 7 is no JSON: a quote is missing" in told
    assert "line 1: <|im_start|>Is it good?\n[Yes, it is" in told


@pytest.mark.parametrize("kind", ["sft", "merge", "preview"])
def test_a_result_of_another_version_is_shown_the_usual_way(workbench: Workbench, kind: str) -> None:
    spec = {"adapter": "org/a"} if kind == "merge" else {}
    job = ended(workbench, kind, spec, {"text": 7, "step": "many"})
    printer = printer_of(kind)
    assert printer
    assert printer.result(job) is None
