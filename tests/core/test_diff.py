from __future__ import annotations

import json
from typing import Any

import pytest

from core.cli import run
from core.cli_diff import _page
from core.client import Workbench
from core.diff import ABSENT, Diff, Moved, Row, diff, side_by_side
from core.errors import BadInput, NotFound
from core.settings import Settings
from core.states import State
from core.store.claims import Kept
from core.values import Job, MadeBy, Measurement, Sample
from tests.support import environment
from tests.web.comparisons import MODEL, around, comparison, failed, variant

PROMPT = "Why is the sky blue?"
EVIL = "<script>alert(1)</script> \x1b[31mred\x1b]0;title\x07"


def speed(value: float, spread: float | None = 1.0, n: int = 5) -> Measurement:
    return Measurement(name="tokens_per_s", value=value, unit="tokens/s", n=n, spread=spread)


def peak(value: float) -> Measurement:
    return Measurement(name="peak_bytes", value=value, unit="bytes", predicted=1e9)


def generated(
    workbench: Workbench, *measured: Measurement, said: str = "", by: dict[str, Any] | None = None, **spec: Any
) -> Job:
    fields = {"prompt": PROMPT, "seed": 7} | spec
    job = workbench.submit("generate", fields)
    workbench.store.claim("interactive", "w", 60)
    usual = {"model": "m", "precision": "float32", "device": "CPU", "seed": fields["seed"], "versions": {"torch": "2"}}
    made_by = MadeBy.model_validate(usual | (by or {}))
    samples = [Sample(prompt=fields["prompt"], completion=said, made_by=made_by)] if said else []
    workbench.store.finish(job.id, 1, State.SUCCEEDED, {"text": said}, Kept(measured, samples))
    return workbench.show(job.id)


def weights(value: float) -> Measurement:
    return Measurement(name="weights_bytes", value=value, unit="bytes")


def compared(workbench: Workbench, *variants: Any, **changes: Any) -> Job:
    job = workbench.submit("compare", {"model": MODEL, **changes.pop("spec", {})})
    workbench.store.claim("batch", "w", 60)
    found = comparison(variants, **changes)
    workbench.store.finish(job.id, 1, State.SUCCEEDED, found.model_dump(mode="json"), Kept())
    return workbench.show(job.id)


def of(found: Diff, name: str, variant: str = "") -> Row:
    return next(row for row in found.figures if (row.of, row.name) == (variant, name))


def moved(found: Diff, name: str, variant: str = "") -> list[Moved | None]:
    return [cell.moved if cell else None for cell in of(found, name, variant).cells]


def test_only_fields_that_differ_are_shown_in_the_order_of_the_spec(workbench: Workbench) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    one = generated(workbench, temperature=0.5, messages=turns)
    other = generated(workbench, seed=8, messages=[turns[0], {"role": "assistant", "content": "good day"}])
    third = generated(workbench)
    found = diff([one, other], workbench.kinds)
    shown = {field.path: field.values for field in found.spec}
    assert shown == {"messages.2.content": ("hello", "good day"), "temperature": (0.5, None), "seed": (7, 8)}
    assert list(shown) == ["messages.2.content", "temperature", "seed"]
    wider = {field.path: field.values for field in diff([one, other, third], workbench.kinds).spec}
    assert wider["messages.1.role"] == ("user", "user", ABSENT)
    assert "messages" not in wider


def test_a_figure_moves_when_it_lies_beyond_its_spread(workbench: Workbench) -> None:
    jobs = [
        generated(workbench, speed(40.0), peak(1e9), weights(1e9)),
        generated(workbench, speed(41.5), peak(1e9 + 5), weights(1e9)),
        generated(workbench, speed(43.0), peak(1.1e9), weights(1e9 + 1)),
    ]
    found = diff(jobs, workbench.kinds)
    assert moved(found, "tokens_per_s") == [None, Moved.WITHIN, Moved.MOVED]
    assert moved(found, "weights_bytes") == [None, Moved.SAME, Moved.MOVED]  # counted, so a byte is a change
    assert moved(found, "peak_bytes") == [None, Moved.SAME, Moved.UNKNOWN]  # what a process takes is another each time
    assert [row.name for row in found.moved] == ["tokens_per_s", "weights_bytes"]
    best = [cell is not None and cell.is_best for cell in of(found, "tokens_per_s").cells]
    assert best == [False, True, True]
    cell = of(found, "peak_bytes").cells[0]
    assert cell is not None
    assert cell.figure.note == "pred. 1.00 GB"


def test_what_was_measured_once_may_have_moved_or_not(workbench: Workbench) -> None:
    jobs = [
        generated(workbench, speed(40.0, None, 1)),
        generated(workbench, speed(55.0, None, 1)),
        generated(workbench),
    ]
    found = diff(jobs, workbench.kinds)
    assert moved(found, "tokens_per_s") == [None, Moved.UNKNOWN, None]
    assert found.as_json()["figures"][0]["moved"] == {"B": None}
    assert not found.moved


def test_comparisons_say_which_figure_of_which_variant_moved(workbench: Workbench) -> None:
    one = compared(workbench, variant("float32"), variant("nf4"), variant("int8"))
    worse = variant("nf4", perplexity=around(5.9, 0.004), load_s=9.0)
    other = compared(workbench, variant("float32"), worse, failed("int8"))
    found = diff([one, other], workbench.kinds)
    assert [(row.of, row.name) for row in found.moved] == [("nf4", "perplexity")]
    assert moved(found, "load_s", "nf4") == [None, Moved.UNKNOWN]
    assert moved(found, "tokens_per_s", "nf4") == [None, Moved.SAME]
    assert not [row for row in found.figures if row.of == "int8"]
    assert "Only A measured int8: that is not shown." in found.warnings
    within = compared(workbench, variant("float32"), variant("nf4", perplexity=around(5.6, 0.0073)))
    assert moved(diff([one, within], workbench.kinds), "perplexity", "nf4") == [None, Moved.WITHIN]


def test_answers_stand_beside_each_other_by_prompt(workbench: Workbench) -> None:
    jobs = [
        generated(workbench, said="a"),
        generated(workbench, said="b"),
        generated(workbench, said="c", prompt="Who?"),
    ]
    answers = diff(jobs, workbench.kinds).answers
    assert [(one.prompt, one.texts) for one in answers] == [(PROMPT, ("a", "b", None)), ("Who?", (None, None, "c"))]


def test_what_does_not_compare_is_said(workbench: Workbench) -> None:
    one = generated(workbench, said="a")
    other = generated(
        workbench, said="b", prompt="Who?", seed=8, by={"device": "NVIDIA T4", "versions": {"torch": "3", "peft": "1"}}
    )
    alike = generated(workbench, said="c")
    queued = workbench.submit("quick", {"text": "x"})
    assert diff([one, other, queued], workbench.kinds).warnings == (
        "These are jobs of several kinds: A generate, B generate, C quick.",
        "C has not ended: this is what there is by now.",
        "The devices differ: A CPU, B NVIDIA T4, C not known. Speed and memory do not compare.",
        "The versions differ: torch (A 2, B 3).",
        "The prompts differ: none was answered by all.",
        "The seeds differ: words that were sampled may be others by chance alone.",
    )
    assert diff([one, alike], workbench.kinds).warnings == ()


def test_texts_and_references_that_differ_are_said(workbench: Workbench) -> None:
    one = compared(workbench, variant("float32"), variant("nf4"))
    other_text = comparison().evaluation
    assert other_text is not None
    other = compared(
        workbench,
        variant("float32"),
        variant("nf4"),
        reference="nf4",
        evaluation=other_text.model_copy(update={"n_scored": 9}),
    )
    said = " ".join(diff([one, other], workbench.kinds).warnings)
    assert "perplexities do not compare" in said
    assert "The references differ (A float32, B nf4)" in said


def test_one_job_nine_jobs_twice_the_same_and_an_unknown_one_are_a_sentence_each(workbench: Workbench) -> None:
    job = generated(workbench)
    for jobs, said in (([], "not 0"), ([job.id], "not 1"), ([job.id] * 9, "not 9"), ([job.id, job.id[-6:]], "twice")):
        with pytest.raises(BadInput, match=said):
            side_by_side(workbench, jobs)
    with pytest.raises(NotFound, match="There is no job ZZZZZZ"):
        side_by_side(workbench, [job.id, "ZZZZZZ"])


def test_what_models_wrote_plays_no_tricks_on_a_terminal(workbench: Workbench) -> None:
    one = generated(workbench, said=EVIL, prompt=EVIL, by={"device": EVIL, "versions": {EVIL: "1"}})
    other = generated(workbench, said="a", prompt=EVIL, system=EVIL, by={"versions": {EVIL: "2"}})
    workbench.describe(one.id, name=EVIL)
    shown = "\n".join(_page(side_by_side(workbench, [one.id, other.id])))
    assert shown.count("[31mred") > 4
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_the_command_prints_it_for_people_and_for_programs(
    workbench: Workbench, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    one = generated(workbench, speed(40.0), peak(1e9), said="one two three " + EVIL)
    other = generated(workbench, speed(44.0), peak(1e9), said="one 2 three", prompt=PROMPT, system=EVIL)
    assert run(["diff", one.id, other.id[-8:]]) == 0
    shown = capsys.readouterr().out
    for said in (
        f"A {one.id}", "SPEC", "system", "40.0 tok/s (± 1.00 tok/s) 44.0 tok/s (± 1.00 tok/s) ▴ ≠",
        "1.00 GB (pred. 1.00 GB) =", "Beyond their spread: tokens_per_s.", "B one 2 three [differs from word 2]",
    ):  # fmt: skip
        assert said in " ".join(shown.split()), said
    assert run(["diff", one.id, other.id, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert [side["id"] for side in body["jobs"]] == [one.id, other.id]
    assert body["spec"] == [{"field": "system", "values": {"A": "", "B": EVIL}}]
    figure = body["figures"][0]
    assert (figure["name"], figure["moved"], figure["best"]) == ("tokens_per_s", {"B": True}, ["B"])
    assert figure["values"]["A"] == {"value": 40.0, "low": 39.0, "high": 41.0, "predicted": None}
    assert body["samples"][0]["texts"]["B"] == "one 2 three"
    assert run(["diff", one.id]) == 2
    assert capsys.readouterr().err == "Two to eight jobs are set side by side, not 1. Name them by their ids.\n"
