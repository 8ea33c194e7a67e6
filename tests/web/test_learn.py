"""The page “What quantization does”: what it asks for, and that it shows what a job found and nothing else."""

from __future__ import annotations

import html as escapes
import json
import re
from typing import Any

import gradio as gr
import pytest

from core.client import Workbench
from core.comparison.inspected import Inspected
from core.jobs.inspect import PROMPT
from core.states import State
from core.store.claims import Kept
from core.values import Job
from tests.web.fake_worker import INSPECTED
from tests.web.shelf import SMALL, fill
from tests.web.test_pages import MISSING, UNCHANGED, event, request
from web import learn_charts
from web.headlines import headline, next_step
from web.learn_view import MINUS, number, percent, read_found
from web.pages.learn import Learn

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def page(workbench: Workbench) -> Learn:
    with gr.Blocks():
        return Learn(workbench)


def found(**changes: Any) -> dict[str, Any]:
    """What a job found in the built-in model, as it is kept."""
    return dict(json.loads(INSPECTED.read_text())) | changes


def ended(workbench: Workbench, result: dict[str, Any], **spec: Any) -> Job:
    job = workbench.submit("inspect", spec)
    assert workbench.store.claim(job.queue, "w", 60) is not None
    workbench.store.finish(job.id, 1, State.SUCCEEDED, result, Kept())
    return workbench.show(job.id)


def shown(page: Learn, workbench: Workbench, **changes: Any) -> str:
    return str(page.open(event(job=ended(workbench, found(**changes)).id, n=2), request())[2])


def charts(html: str) -> list[dict[str, Any]]:
    return [json.loads(escapes.unescape(drawn)) for drawn in re.findall(r'data-drawn="([^"]*)"', html)]


def test_it_opens_with_a_model_and_says_what_will_stand_there(page: Learn, workbench: Workbench) -> None:
    form, trouble, empty = page.open(event(job="", n=1), request())
    assert form == {"n": "1", "models": [["SmolLM2-135M-Instruct · built in", "HuggingFaceTB/SmolLM2-135M-Instruct"]]}
    assert trouble == ""
    assert "Nothing has been looked at yet." in empty
    fill(workbench)
    assert SMALL in [value for _, value in page.open(event(), request())[0]["models"]]
    assert PROMPT in page.form.html_template
    assert page.form.html_template.count('id="send"') == 1


def test_one_button_submits_one_job(page: Learn, workbench: Workbench) -> None:
    data = {"model": SMALL, "module": "model.layers.0.mlp.down_proj", "block_size": "128", "head": "3", "prompt": "a b"}
    form, trouble = page.send(event(**data, key="k", owner="x"), request())
    job = workbench.show(form["job"])
    assert (job.kind, job.model, trouble) == ("inspect", SMALL, "")
    assert {name: job.spec[name] for name in ("module", "block_size", "head", "prompt")} == {
        "module": "model.layers.0.mlp.down_proj", "block_size": 128, "head": 3, "prompt": "a b",
    }  # fmt: skip
    assert page.send(event(**data, key="k"), request())[0] == form  # a double click makes one job
    assert workbench.count() == 1


@pytest.mark.parametrize(
    "data",
    [{"block_size": "65"}, {"block_size": "many"}, {"head": "-1"}, {"prompt": "x" * 4_500}, {"module": "m" * 400}],
)
def test_what_the_form_holds_wrongly_is_said(page: Learn, workbench: Workbench, data: dict[str, Any]) -> None:
    form, trouble = page.send(event(**data), request())
    assert form == UNCHANGED
    assert trouble.count('role="alert"') == 1
    assert workbench.count() == 0


def test_a_job_that_runs_is_followed_and_nothing_is_shown_before_it_ends(page: Learn, workbench: Workbench) -> None:
    job = workbench.submit("inspect", {"head": 2, "prompt": "a b"})
    form, trouble, shown = page.open(event(job=job.id, n=3), request())
    assert (trouble, shown, form["ended"]) == ("", "", False)
    assert (form["spec"]["head"], form["spec"]["prompt"]) == (2, "a b")


def test_everything_that_was_found_stands_there_with_its_charts(page: Learn, workbench: Workbench) -> None:
    html = shown(page, workbench)
    for words in (
        "A codeword of int8", "A codeword of nf4", "What is lost", "What an outlier does", "The layer at work",
        "One attention head", "down_proj <small>of block 20", "576 × 1,536", "884,736",
        "its codes are 0.00498 apart", f"<b>{MINUS}103</b>", "0.0796", "9.44 %", "The stored codes never change",
        "hold a value of 6.00 or more", "Its result is the same to the last bit.", "30 × 30",
        "9 heads × context² × 6 bytes",
    ):  # fmt: skip
        assert words in html, words
    codes = re.findall(r"checksum is <code>(\w+)</code> before and <code>(\w+)</code>", html)
    assert len(codes) == 2
    assert all(before == after for before, after in codes)
    drawn = charts(html)
    assert [one["kind"] for one in drawn] == [*["curves"] * 5, "heat", "heat", "curves"]
    assert all(one["description"] and one["table"]["rows"] for one in drawn)


def test_the_form_offers_the_layers_of_the_model_that_was_looked_at(page: Learn, workbench: Workbench) -> None:
    form = page.open(event(job=ended(workbench, found(), module="20 down_proj").id), request())[0]
    assert form["module"] == "model.layers.20.mlp.down_proj"
    assert [one["kind"] for one in form["modules"]][-1] == "down_proj"
    assert form["modules"][0]["blocks"] == list(range(30))


def test_a_stranger_s_words_are_escaped(page: Learn, workbench: Workbench) -> None:
    head = found()["head"] | {"tokens": [HOSTILE] * 30}
    words = dict.fromkeys(
        ("text", "model", "revision", "module", "kind", "stored_as", "device", "compute_dtype"), HOSTILE
    )
    html = shown(page, workbench, **words, head=head, notes=[HOSTILE])
    assert "<img" not in html
    assert charts(html)[5]["yAxis"]["data"][0] == f"1 {HOSTILE}"  # drawn as text


def test_what_could_not_be_found_is_left_out_with_its_reason(page: Learn, workbench: Workbench) -> None:
    html = shown(page, workbench, head=None, head_why_not="this layer lies in no block", block=None)
    assert "No head is shown: this layer lies in no block." in html
    assert "Bytes by context" not in html
    outliers = found()["outliers"] | {"n_columns": 0, "columns": []}
    assert "no column needs 16 bit here" in shown(page, workbench, outliers=outliers)
    assert "Tried on 1,000 of the weights." in shown(page, workbench, n_sampled=1000)


def test_a_job_of_another_kind_or_none_is_said(page: Learn, workbench: Workbench) -> None:
    other = workbench.submit("generate", {"prompt": "a"})
    assert "looked at no layer" in page.open(event(job=other.id), request())[1]
    for data in ({"job": MISSING}, {"job": "<b>"}, {"job": 7}, {"n": ["x"] * 900}):
        form, trouble, shown = page.open(event(**data), request())
        assert "<b>" not in trouble + shown
        assert "models" in form


def test_the_job_can_be_stopped_and_made_again(page: Learn, workbench: Workbench) -> None:
    job = workbench.submit("inspect", {})
    assert page.stop(event(job=job.id), request()) == [{"job": job.id}, ""]
    again = page.retry(event(job=job.id), request())[0]["job"]
    assert workbench.show(again).retry_of == job.id
    assert 'role="alert"' in page.mend(event(job=job.id), request())[1]
    assert 'role="alert"' in page.stop(event(job=MISSING), request())[1]


def test_a_run_s_page_says_which_layer_and_leads_here(workbench: Workbench) -> None:
    job = ended(workbench, found())
    assert headline(job) == "Looked at down_proj of block 20 of SmolLM2-135M-Instruct."
    assert next_step(job) == ("See what was found", f"/learn?job={job.id}")
    assert read_found(workbench.submit("inspect", {})) is None


def test_charts_hold_the_figures_of_the_job() -> None:
    seen = Inspected.model_validate(found())
    assert seen.weights
    assert seen.head
    assert seen.worst_block
    assert seen.typical_block
    shares = [share for _, share in learn_charts.weights(seen)["series"][0]["data"]]
    assert sum(shares) == pytest.approx(100 * (1 - seen.weights.n_beyond / (576 * 1536)), abs=0.01)
    sizes = learn_charts.block_sizes(seen)["series"][0]["data"]
    assert sizes[1] == [64.0, pytest.approx(9.43676)]
    assert learn_charts.codes_used(seen.worst_block, seen.typical_block)["series"][1]["data"][7][1] == pytest.approx(
        64.06, abs=0.01
    )
    growth = learn_charts.growth(seen.head)["series"]
    assert [point[0] for point in growth[0]["data"]] == [0.5, 1, 2, 4, 8, 16, 32, 64, 128]
    assert growth[0]["data"][-1][1] == pytest.approx(9 * 131072**2 * 6 / 1e6)
    matrix = learn_charts.attention(seen.head)
    assert len(matrix["series"][0]["data"]) == 30 * 31 // 2
    assert len(learn_charts.blocks(seen.head)["series"][0]["data"]) == seen.head.n_blocks - seen.head.n_skipped


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (-0.51171875, f"{MINUS}0.5117"),
        (2.953125, "2.953"),
        (6.85e-7, "6.850 × 10⁻⁷"),
        (-1.5e7, f"{MINUS}1.500 × 10⁷"),
    ],
)
def test_numbers_are_as_short_as_they_can_be_read(value: float, words: str) -> None:
    assert number(value) == words


def test_shares_are_percent() -> None:
    assert (percent(0.0943676), percent(0), percent(0.64)) == ("9.44 %", "0 %", "64.0 %")
