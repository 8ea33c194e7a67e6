from __future__ import annotations

import re

import gradio as gr
import pytest
from starlette.testclient import TestClient

from core.access import Who
from core.client import Workbench
from core.diff import diff
from core.values import Job, Visibility
from tests.core.test_diff import EVIL, compared, generated, peak, speed
from tests.web.comparisons import around, variant
from tests.web.test_job_view import HOSTILE
from tests.web.test_pages import MISSING, event, request
from web import runs_view, side_view
from web.pages.frame import PAGES
from web.pages.side_by_side import SideBySide


@pytest.fixture
def page(workbench: Workbench) -> SideBySide:
    with gr.Blocks():
        return SideBySide(workbench)


def shown(workbench: Workbench, *jobs: Job) -> str:
    return side_view.render(diff(jobs, workbench.kinds))


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_specs_figures_texts_and_warnings_stand_side_by_side(workbench: Workbench) -> None:
    one = generated(workbench, speed(40.0), peak(1e9), said="one two three")
    other = generated(
        workbench, speed(44.0), peak(1e9), said="one 2 three", by={"device": "NVIDIA T4"}, temperature=0.5
    )
    html = shown(workbench, one, other)
    text = text_of(html)
    for said in (
        "2 jobs, each held against A.", "The devices differ: A CPU, B NVIDIA T4. Speed and memory do not compare.",
        "temperature \u2013 0.5", "Beyond their spread: speed.", "Speed 40.0 tok/s ± 1.00 tok/s 44.0 tok/s",
        "best ≠ , beyond the spread", "1.00 GB pred. 1.00 GB", "B · differs from word 2",
    ):  # fmt: skip
        assert said in text, said
    assert "<mark>2</mark>" in html
    assert '<span class="sr"> two</span>' in html
    assert html.count('class="best"') == 1
    assert f'href="/runs?job={other.id}"' in html


def test_comparisons_stand_side_by_side_by_variant(workbench: Workbench) -> None:
    one = compared(workbench, variant("float32"), variant("nf4"))
    other = compared(workbench, variant("float32"), variant("nf4", perplexity=around(5.9, 0.004)))
    text = text_of(shown(workbench, one, other))
    assert "Nothing: their specs are the same." in text
    assert "Beyond their spread: nf4: perplexity." in text
    assert "nf4 Weights 4.22 GB pred. 4.21 GB" in text
    assert "nf4, the likeliest words" in text
    assert "B · the same words as A" in text


def test_columns_keep_the_order_of_the_jobs_whoever_wrote_first(workbench: Workbench) -> None:
    one, two = generated(workbench), generated(workbench, said="a b")
    text = text_of(shown(workbench, one, two, generated(workbench, said="a c")))
    assert "A Was not asked this. B · reference a b C · differs from word 2" in text


def test_what_strangers_wrote_stays_text(workbench: Workbench) -> None:
    spec = {"prompt": HOSTILE, "system": HOSTILE, "model": HOSTILE}
    by = {"model": HOSTILE, "device": HOSTILE, "versions": {HOSTILE: HOSTILE}, "adapter": HOSTILE, "precision": HOSTILE}
    one = generated(workbench, speed(1.0), said=HOSTILE, by=by, **spec)
    other = generated(workbench, speed(2.0), said=EVIL, by=by | {"versions": {HOSTILE: "2"}}, prompt=HOSTILE)
    html = shown(workbench, one, other)
    assert "<img" not in html
    assert "<script" not in html
    assert all("<" not in attribute for attribute in re.findall(r'(?<==)"[^"]*"', html))
    row = runs_view.render_row(workbench.show(one.id))
    assert "<img" not in row
    assert f'data-pick="{one.id}"' in row


def test_the_address_chooses_and_what_is_wrong_with_it_is_a_sentence(workbench: Workbench, page: SideBySide) -> None:
    one, other = generated(workbench), generated(workbench, seed=8)
    assert 'class="asked-of"' in page.open(event(jobs=f"{one.id},{other.id[-8:]}"), request())
    for jobs, said in (
        ("", "Choose what to set side by side."),
        (one.id, "Two to eight jobs are set side by side, not 1."),
        (",".join([one.id] * 9), "not 9"),
        (f"{one.id},{one.id}", "named twice"),
        (f"{one.id},{MISSING}", f"There is no job {MISSING}."),
        (f"{one.id},{HOSTILE}", "&lt;img"),
    ):
        html = page.open(event(jobs=jobs), request())
        assert said in html, jobs
        assert "<img" not in html
        assert 'href="/runs"' in html
    for odd in (None, 7, ["a"], {"a": 1}):
        assert "side by side" in page.open(event(jobs=odd), request())


def test_a_private_job_is_not_shown_to_others(workbench: Workbench, page: SideBySide) -> None:
    one = generated(workbench)
    hidden = workbench.submit("generate", {"prompt": "mine"}, visibility=Visibility.PRIVATE)
    answer = page.open(event(jobs=f"{one.id},{hidden.id}"), request("somebody else"))
    assert f"There is no job {hidden.id}." in answer
    assert "mine" not in answer
    assert workbench.acting_for(Who("me")).show(hidden.id)


def test_it_has_an_address_and_no_place_in_the_bar(web: TestClient) -> None:
    answer = web.get("/side-by-side?jobs=A,B")
    assert answer.status_code == 200
    assert "/ui/side.js" in answer.text
    assert "/side-by-side" not in [entry.path for entry in PAGES]
