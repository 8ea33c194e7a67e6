from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from typing import Any

import gradio as gr
import pytest

from core.client import Workbench
from core.comparison.columns import COLUMNS
from core.comparison.values import Comparison, Interval, Noise, Output, Quality, VariantResult, VariantState
from core.format import change, small
from core.jobs.compare import CompareSpec
from core.spec import parse_spec
from core.states import State
from core.store.claims import Kept
from core.values import Job
from tests.web.comparisons import FIGURES, MODEL, PROMPTS, around, comparison, failed, skipped, variant
from tests.web.shelf import LARGE, SMALL, fill
from tests.web.test_job_view import rendered
from tests.web.test_pages import MISSING, UNCHANGED, event, request
from web import compare_variants
from web.compare_outputs import Said, side_by_side
from web.compare_table import rows_of
from web.pages.compare import Compare
from web.pages.runs import Runs

EVIL = '<img src=x onerror="alert(1)">'
NO_QUALITY: dict[str, Any] = {
    "quality": None, "perplexity": None, "kl_mean": None, "top1_agreement": None,
    "quality_why_not": "The reference float32 failed.",
}  # fmt: skip


@pytest.fixture
def page(workbench: Workbench) -> Compare:
    with gr.Blocks():
        return Compare(workbench)


def form(page: Compare, variants: Sequence[str] = ("float32", "nf4"), **fields: Any) -> dict[Any, Any]:
    held = {control.component: fields.get(control.name, control.show(_default(control.name))) for control in page.form}
    chosen = compare_variants.shown(variants, fields, {})
    return held | {page.view: {"job": ""}, page.variants: chosen, page.own: {"n": fields.get("n_own", 0)}}


def _default(name: str) -> Any:
    return CompareSpec.model_fields[name].get_default()


def ended(workbench: Workbench, found: Comparison, state: State = State.SUCCEEDED) -> Job:
    job = workbench.submit("compare", {"model": MODEL, "prompts": PROMPTS, "seed": 7})
    assert workbench.store.claim(job.queue, "w", 60) is not None
    workbench.store.finish(job.id, 1, state, found.model_dump(mode="json"), Kept())
    return workbench.show(job.id)


def best_of(found: Comparison, title: str) -> list[str]:
    at = next(n for n, column in enumerate(COLUMNS) if column.title == title)
    return [row.variant.name for row in rows_of(found) if row.cells[at].is_best]


def shown_text(html: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)))


# the form


def test_a_form_as_it_opens_is_the_spec_as_it_is(page: Compare, workbench: Workbench) -> None:
    defaults = CompareSpec()
    view, trouble = page.send(form(page, defaults.variants), event(job="", key="k"), request())
    assert trouble == ""
    assert parse_spec(CompareSpec, workbench.show(view["job"]).spec) == defaults


def test_ticks_are_every_precision_with_every_attention(page: Compare, workbench: Workbench) -> None:
    held = {"ticked": ["p:float32", "p:nf4", "a:eager", "a:sdpa"], "more": "int8+threshold=0"}
    assert compare_variants.read(held)["variants"] == [
        "float32+eager", "float32+sdpa", "nf4+eager", "nf4+sdpa", "int8+threshold=0",
    ]  # fmt: skip
    assert compare_variants.read({"ticked": ["a:eager", "a:sdpa"]})["variants"] == ["auto+eager", "auto+sdpa"]


@pytest.mark.parametrize(
    "variants",
    [
        ("float32", "bfloat16", "int8", "nf4", "nf4-dq"),
        ("auto+eager", "auto+sdpa"),
        ("float32+eager", "float32+sdpa", "nf4+eager", "nf4+sdpa"),
        ("float32+eager", "nf4"),
        ("bfloat16", "bfloat16+name=again"),
        ("nf4+adapter=ana/x+threshold=3",),
    ],
)
def test_what_a_spec_holds_comes_back_from_the_form_as_it_was(variants: tuple[str, ...]) -> None:
    assert sorted(compare_variants.read(compare_variants.shown(variants, {}, {}))["variants"]) == sorted(variants)


def test_what_cannot_run_here_is_left_out_and_said(page: Compare) -> None:
    held = compare_variants.shown(("float32", "nf4"), {}, {"nf4": "bitsandbytes is not installed"})
    assert compare_variants.read(held)["variants"] == ["float32"]
    assert held["ticked"] == ["p:float32", "p:nf4", "a:auto"]


def test_before_and_after_sets_the_base_beside_what_was_made_of_it(page: Compare, workbench: Workbench) -> None:
    held = {"set": "before-after", "adapter": "ana/poems", "merged": ""}
    view, trouble = page.send(form(page) | {page.variants: held}, event(job="", key="k"), request())
    assert trouble == ""
    spec = workbench.show(view["job"]).spec
    assert spec["variants"] == ["auto+name=base", "auto+adapter=ana/poems+name=adapter"]
    again = compare_variants.shown(spec["variants"], spec, {})
    assert (again["set"], again["adapter"]) == ("before-after", "ana/poems")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"variants": ()}, "variants"),
        ({"variants": ("fp5",)}, "neither a precision nor an attention"),
        ({"variants": ("nf4", "nf4")}, "there twice"),
        ({"reference": "int8"}, "is none of the variants"),
        ({"context_lengths": "128, many"}, "context_lengths"),
        ({"repeats": 0}, "repeats"),
        ({"prompts": "   "}, "Prompt 1 is empty"),
    ],
)
def test_what_is_refused_changes_nothing_but_the_sentence(
    page: Compare, workbench: Workbench, fields: dict[str, Any], sentence: str
) -> None:
    held = dict(fields)
    variants = held.pop("variants", ("float32", "nf4"))
    values = form(page, variants, **held) | {
        page.variants: {"ticked": [], "more": "\n".join(variants)}
    }  # fmt: skip
    answer = page.send(values, event(job="", key="k"), request())
    assert answer[0] == UNCHANGED
    assert sentence in unescape(answer[1])
    assert 'role="alert"' in page.follow(values, request())[1]
    assert workbench.count() == 0


def test_a_text_of_ones_own_comes_with_the_event_alone(page: Compare, workbench: Workbench) -> None:
    values = form(page, n_own=8_000)
    assert "Name" not in page.follow(values, request())[0]
    assert "goes with the form only" in page.follow(values, request())[0]
    view, _ = page.send(values, event(job="", key="k", own=EVIL * 400), request())
    assert workbench.show(view["job"]).spec["eval_own"] == EVIL * 400
    refused = page.send(values, event(job="", key="l", own="x" * 400_001), request())
    assert "eval_own" in refused[1]
    opened = page.open(event(job=view["job"]), request())
    assert opened[2] == {"n": len(EVIL) * 400, "text": EVIL * 400}


def test_while_one_chooses_each_variant_is_held_against_the_card(page: Compare, workbench: Workbench) -> None:
    fill(workbench)
    command, ready, names = page.follow(form(page, ("float32", "bfloat16", "nf4")), request())
    said = shown_text(ready)
    assert re.search(r"float32 609 MB ✓ fits bfloat16 305 MB ✓ fits", said)
    assert "nf4 cannot run here: bitsandbytes is not installed" in said
    assert "against 9.20 GB free on NVIDIA T4" in said
    assert "4,088 tokens are scored by every variant, in 8 windows of 512" in said
    assert "take 402 MB of disk" in said  # 4,088 × 49,152 × 2 bytes
    assert [value for _, value in names["choices"]] == ["", "float32", "bfloat16", "nf4"]
    assert "workbench submit compare" in command


def test_a_model_that_exceeds_the_card_is_said_to_and_one_that_is_not_here_is_fetched(
    page: Compare, workbench: Workbench
) -> None:
    fill(workbench)
    assert "exceeds" in page.follow(form(page, ("float32",), model=LARGE), request())[1]
    assert "/models?download=org/none" in page.follow(form(page, model="org/none"), request())[1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"eval_tokens": 0}, "About 128,772 tokens"),
        ({"eval_tokens": 0, "model": SMALL}, "The whole of editorials is scored"),
        ({"eval_tokens": 100}, "less than one window of 512"),
        ({"n_own": 1_000}, "About 250 tokens are less than one window"),
        ({"n_own": 9_000}, "About 2,044 tokens are scored by every variant, in 4 windows of 512"),
        ({"window": 4096}, "4,095 tokens are scored by every variant, in 1 window of 4,096"),
    ],
)
def test_what_is_scored_is_said_before_it_is(
    page: Compare, workbench: Workbench, fields: dict[str, Any], said: str
) -> None:
    fill(workbench)
    assert said in shown_text(page.follow(form(page, ("float32",), **fields), request())[1])


def test_how_long_scoring_takes_is_said_by_the_last_comparison_of_it(page: Compare, workbench: Workbench) -> None:
    asked = form(page, ("float32", "nf4"), model=MODEL, eval_tokens=2 * 4088)
    assert "last comparison" not in page.follow(asked, request())[1]
    ended(workbench, comparison([variant("float32", quality_s=20.0), variant("nf4", quality_s=10.0)]))
    assert "takes about 1 min 0 s" in shown_text(page.follow(asked, request())[1])


def test_a_form_opens_as_its_job_had_it(page: Compare, workbench: Workbench) -> None:
    spec = {"variants": ["fp32", "nf4+eager"], "repeats": 3, "context_lengths": [64, 256], "prompts": ["a\nb"]}
    job = workbench.submit("compare", spec)
    trouble, held, _, *rest = page.open(event(job=job.id), request())
    fields = {control.name: value for control, value in zip(page.form, rest, strict=True)}
    assert trouble == ""
    assert held["more"] == "float32\nnf4+eager"
    assert (fields["repeats"], fields["context_lengths"], fields["prompts"]) == (3, "64, 256", "a\\nb")


def test_an_address_asks_for_a_model_and_variants(page: Compare) -> None:
    _, held, _, *rest = page.open(event(model=SMALL, variants="fp32,nf4"), request())
    assert held["ticked"] == ["p:float32", "p:nf4", "a:auto"]
    assert rest[0]["value"] == SMALL
    for bad in ("nonsense", EVIL, "a=b"):
        trouble, held, *_ = page.open(event(variants=bad), request())
        assert "means nothing" in trouble or "neither a precision" in trouble
        assert EVIL not in trouble


@pytest.mark.parametrize("data", [{}, {"job": 7, "key": 9}, {"job": MISSING, "n": EVIL}, {"job": "<b>", "goal": []}])
def test_no_event_that_a_browser_makes_up_is_more_than_refused(page: Compare, data: dict[str, Any]) -> None:
    for handler in (page.stop, page.retry, page.mend, page.describe, page.remove):
        assert 'role="alert"' in handler(event(**data), request())[1]
    assert 'role="alert"' in page.advise(event(**data), request())["advice"]


def test_only_its_owner_stops_or_deletes_it(page: Compare, workbench: Workbench) -> None:
    job = workbench.submit("compare", {})
    for handler in (page.stop, page.remove, page.describe):
        assert "only its owner" in handler(event(job=job.id, name="x"), request("ana"))[1]
    assert page.stop(event(job=job.id), request()) == [{"job": job.id}, ""]
    assert page.remove(event(job=job.id), request())[0] == {"go": "/runs?kind=compare"}


# what was found


def test_it_opens_with_a_headline_and_every_figure_has_its_place(workbench: Workbench) -> None:
    parts = rendered(workbench, ended(workbench, comparison()).id)
    assert "nf4-dq takes 23 % of float32" in parts["result"]
    table = shown_text(parts["compare_table"])
    for figure in (
        "float32 reference", "✓ measured, 48.0 s", "27.0 GB pred. 26.9 GB", "± 1.92 ms", "33.0 tok/s ± 0.33, 0.82 ×",
        "reaches 42 %", "5.589 5.548 to 5.630", "+2.14 % +2.05 to +2.23 %", "0.5587", "0.0310 99 %: 0.279",
        "92.8 % 92.4 to 93.2 %", "visible",
    ):  # fmt: skip
        assert figure in table, figure
    assert all(parts[name] for name in parts if name.startswith("compare_"))


def test_the_best_of_a_column_is_better_beyond_its_interval() -> None:
    found = comparison()
    assert best_of(found, "Weights") == ["nf4-dq"]
    assert best_of(found, "Speed") == ["bfloat16"]
    assert best_of(found, "Perplexity") == ["float32", "bfloat16", "int8"]  # their intervals overlap
    assert best_of(found, "Roofline") == []
    twins = comparison([variant("float32"), variant("again", like="float32", kl_mean=1e-7)])
    assert best_of(twins, "Weights") == []


def test_a_variant_that_failed_says_why_and_the_others_stand(workbench: Workbench) -> None:
    bad = failed("nf4", f"Out of memory {EVIL}.")
    found = comparison([variant("float32"), variant("bfloat16"), bad, skipped("int8", "bitsandbytes is not installed")])
    parts = rendered(workbench, ended(workbench, found).id)
    table = shown_text(parts["compare_table"])
    assert f"nf4 ✕ failed Out of memory {EVIL}. A shorter prompt needs less." in table
    assert "int8 ■ skipped bitsandbytes is not installed" in table
    assert EVIL not in "".join(parts.values())
    assert "bfloat16" in parts["compare_charts"]


def test_where_the_reference_failed_no_quality_is_made_up(workbench: Workbench) -> None:
    found = comparison([failed("float32"), variant("bfloat16", **NO_QUALITY), variant("nf4", **NO_QUALITY)], noise=None)
    parts = rendered(workbench, ended(workbench, found).id)
    table = shown_text(parts["compare_table"])
    assert "bfloat16, nf4 : quality was not measured. The reference float32 failed." in table
    assert "\u2013 \u2013 \u2013 \u2013 \u2013" in table
    assert "None" not in table
    assert "No quality was measured against a reference" in parts["compare_advice"]
    assert "Memory and speed" in parts["compare_charts"]
    assert "KL to" not in parts["compare_charts"]


def test_two_that_are_the_same_show_no_difference_beyond_noise(workbench: Workbench) -> None:
    noise = Interval(value=1.0, low=0.9999, high=1.0001, n=8)
    same = Quality.model_validate(variant("bfloat16").model_dump()["quality"] | {"perplexity_ratio": noise})
    assert same.kl is not None
    kl = same.kl.model_copy(update={"mean": 1e-6, "low": 9e-7, "high": 1.1e-6})
    again = variant(
        "again", like="float32", quality=same.model_copy(update={"kl": kl}), kl_mean=1e-6, speed_ratio=around(1.0, 0.02)
    )
    found = comparison([variant("float32"), again])
    assert isinstance(found.noise, Noise)
    parts = rendered(workbench, ended(workbench, found).id)
    assert "again and float32: no difference beyond noise." in parts["result"]
    assert "no difference beyond noise" in parts["compare_table"]
    assert 'class="best"' not in parts["compare_table"]


def test_while_it_runs_rows_come_one_by_one(workbench: Workbench) -> None:
    job = workbench.submit("compare", {"model": MODEL})
    assert workbench.store.claim(job.queue, "w", 60) is not None
    assert rendered(workbench, job.id)["compare_table"] == ""
    under_way = [variant("float32"), VariantResult(name="int8", state=VariantState.RUNNING),
                 VariantResult(name="nf4", state=VariantState.QUEUED)]  # fmt: skip
    workbench.store.keep_result(job.id, 1, comparison(under_way).model_dump(mode="json"))
    parts = rendered(workbench, job.id)
    table = shown_text(parts["compare_table"])
    assert "int8 ◐ measuring" in table
    assert "nf4 ◌ queued" in table
    assert "headline" not in parts["result"]
    assert parts["compare_advice"] == ""


def test_a_result_that_this_version_cannot_read_is_a_job_without_a_table(workbench: Workbench) -> None:
    job = workbench.submit("compare", {"model": MODEL})
    assert workbench.store.claim(job.queue, "w", 60) is not None
    workbench.store.finish(job.id, 1, State.SUCCEEDED, {"variants": "many"}, Kept())
    assert rendered(workbench, job.id)["compare_table"] == ""


def test_no_word_of_a_stranger_becomes_markup(workbench: Workbench) -> None:
    output = Output(prompt=EVIL, greedy=f"a {EVIL} b", sampled=EVIL)
    evil = variant(EVIL, like="nf4", samples=(output,))
    base = variant("float32", samples=(Output(prompt=EVIL, greedy="a b", sampled="x"),))
    cut = skipped(f"{EVIL}2", EVIL)
    found = comparison([base, evil, cut], notes=(EVIL,), device=EVIL, speed_order=EVIL, versions={EVIL: EVIL})
    parts = rendered(workbench, ended(workbench, found).id)
    assert all(f"<img {rest}" not in part for part in parts.values() for rest in ("src", "onerror"))
    assert EVIL in unescape(parts["compare_outputs"])


# outputs side by side


def test_a_column_says_where_it_first_differs_and_marks_its_words(workbench: Workbench) -> None:
    parts = rendered(workbench, ended(workbench, comparison()).id)
    outputs = parts["compare_outputs"]
    assert "the same words as float32" in outputs
    assert "differs from word 7" in outputs
    assert re.search(r"on the <mark>river</mark> Seine", outputs)
    assert "The capital of France is" in outputs


def test_columns_begin_with_the_reference_and_say_why_one_is_empty() -> None:
    columns = side_by_side([Said("nf4", "a c"), Said("int8", "", "it failed"), Said("base", "a b")], "base")
    assert [(one.name, one.word) for one in columns] == [
        ("base", "reference"), ("nf4", "differs from word 2"), ("int8", "")
    ]  # fmt: skip
    assert columns[2].why_not == "it failed"
    assert [one.word for one in side_by_side([Said("nf4", "a"), Said("base", "", "gone")], "base")] == ["", ""]


# recommend for my card


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "Take float32"),
        ({"card": "T4 16 GB"}, "Take int8"),
        ({"card": "T4 16 GB", "goal": "memory"}, "Take nf4-dq"),
        ({"card": "T4 16 GB", "goal": "speed"}, "Take nf4"),
        ({"card": "T4 16 GB", "context": "60,000"}, "None of these fits into 15.6 GB"),
        ({"card": EVIL}, "There is no card"),
        ({"context": "many"}, "A context is a whole number"),
        ({"context": "0"}, "A context is a whole number"),
        ({"context": "٣"}, "A context is a whole number"),
        ({"goal": "fun"}, "There is no goal"),
    ],
)
def test_it_recommends_for_a_card_a_context_and_a_goal(
    page: Compare, workbench: Workbench, asked: dict[str, str], said: str
) -> None:
    job = ended(workbench, comparison())
    with gr.Blocks():
        runs = Runs(workbench)
    for view in (page, runs):
        answer = view.advise(event(job=job.id, n=3, **asked), request())
        assert said in unescape(answer["advice"])
        assert EVIL not in answer["advice"]
        assert answer["n"] == "3"


def test_a_recommendation_shows_its_rule_and_the_way_to_use_it(workbench: Workbench) -> None:
    advice = rendered(workbench, ended(workbench, comparison()).id)["compare_advice"]
    assert "Rule: Of the variants whose peak fits with 3 % to spare" in advice
    assert 'href="/?model=mosaicml%2Fmpt-7b&amp;dtype=float32"' in advice
    assert "NVIDIA H100 80GB HBM3, 79.2 GB usable here" in advice
    assert "RTX 4090 24 GB, 25.4 GB usable" in advice


def test_only_a_comparison_recommends(page: Compare, workbench: Workbench) -> None:
    job = workbench.submit("generate", {"prompt": "a"})
    assert "Only a comparison" in page.advise(event(job=job.id), request())["advice"]


# figures


def test_figures_keep_their_digits() -> None:
    assert [small(value) for value in (0.0, 0.031, 0.0008, 1.23e-6)] == ["0", "0.0310", "0.000800", "1.2 · 10⁻⁶"]
    assert [change(value) for value in (1.0214, 1.0, 0.9969, 0.99999)] == [
        "+2.14 %",
        "+0.00 %",
        "\u22120.31 %",
        "+0.00 %",
    ]
    assert len(FIGURES) == len(comparison().variants)
