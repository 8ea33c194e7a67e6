from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from core.client import Workbench
from core.memory.compare import COMPARED
from core.memory.known import config_of, names
from core.settings import Settings
from core.store.workers import WorkerInfo
from tests.web.test_pages import event, request
from web import charts
from web.fit_answer import Answer, cards_there
from web.fit_ask import Asked, answer, may_name_paths, read_asked
from web.fit_chart import lines
from web.fit_words import headline
from web.pages.fit import Fit

T4 = cards_there([])[0]


@pytest.fixture
def page(workbench: Workbench) -> Fit:
    with gr.Blocks():
        return Fit(workbench)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def found(settings: Settings, **fields: Any) -> Answer:
    asked = read_asked(fields)
    return Answer(asked.title, answer(asked, settings), cards_there([]))


def test_the_headline_says_the_figures(home: Settings) -> None:
    seen = found(home)
    said = headline(seen)
    assert said.startswith(
        "mpt-7b needs 21.0 GB in bfloat16 at 4,096 tokens: too much for the T4 16 GB (15.6 GB usable)."
    )
    assert seen.reference
    fits, longest = seen.reference.fits, seen.reference.largest_context
    assert f"int8 leaves {fits['int8'].spare_bytes / 1e9:.2f} GB free and nf4 " in said  # type: ignore[index]
    assert f"In bfloat16, up to {longest:,} tokens fit there." in said
    assert headline(found(home, context=str(longest))).count(f"at {longest:,} tokens: tight on the T4") == 1
    assert "too much for" in headline(found(home, context=str(longest + 1)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"model": "mistralai/Mixtral-8x7B-v0.1"},
            "too much for every card here, and bitsandbytes would not shrink it.",
        ),
        ({"model": "tiiuae/falcon-7b"}, "tight on the T4 16 GB (15.6 GB usable). bitsandbytes would not shrink it."),
        ({"model": "google/gemma-2-2b"}, "fits the T4 16 GB"),
        ({"model": "openai/gpt-oss-20b"}, "bitsandbytes cannot pack it again."),
        ({"batch": "2", "context": "1,500"}, "at 1,500 tokens × 2 rows"),
        ({"train": "qlora", "rank": 16}, "in nf4 for qlora training at 4,096 tokens: fits the T4"),
        ({"dtype": "bf16", "train": "lora"}, "in bfloat16 for lora training"),
    ],
)
def test_each_answer_has_its_sentence(home: Settings, fields: dict[str, Any], words: str) -> None:
    assert words in headline(found(home, **fields))


def test_every_known_model_is_answered_with_badges_formulas_and_a_picture(page: Fit) -> None:
    for name in names():
        form, said, chart, cards = page.ask(event(model=name, n=1), request())
        n_precisions = 2 if "gpt-oss" in name else len(COMPARED)  # it is packed already
        assert form["attentions"]
        assert "data-headline" in said
        assert chart["series"][0]["name"] == "weights"
        assert len(re.findall(r'class="chip (good|warn|bad)"', cards)) == n_precisions * len(cards_there([]))
        assert "GB a billion = " in cards


def test_a_badge_is_a_sign_and_a_word(page: Fit) -> None:
    *_, cards = page.ask(event(), request())
    first = cards[cards.index("T4 16 GB") : cards.index("L4 24 GB")]
    signs = re.findall(r'aria-hidden="true">(.)</span> (\w+)</span><br><small>([\d.]+ GB \w+)', first)
    assert [sign[:2] for sign in signs] == [
        ("✕", "exceeds"), ("✕", "exceeds"), ("◒", "tight"), ("✓", "fits"), ("✓", "fits"),
    ]  # fmt: skip
    assert signs[1][2] == "5.42 GB short"
    assert "6.65 B × 2 bytes = 13.30 GB" in cards
    assert "13,298,573,312" in cards


def test_what_core_knows_of_a_model_stands_on_the_page(page: Fit) -> None:
    _, mixtral, *_ = page.ask(event(model="mistralai/Mixtral-8x7B-v0.1"), request())
    _, falcon, *_ = page.ask(event(model="tiiuae/falcon-7b"), request())
    _, mpt, *_ = page.ask(event(), request())
    assert "The experts are fused into one tensor a layer" in mixtral
    assert "linear layers are of a class of their own" in falcon
    assert "nf4 does not shrink this model" in falcon
    assert "eager <small>all that it has" in mpt
    assert "L4 24 GB" in mpt
    assert "int8 and the 4-bit precisions do not apply" in page.ask(event(model="openai/gpt-oss-20b"), request())[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "mosaicml/mpt-7d"}, "Did you mean mosaicml/mpt-7b?"),
        ({"model": "<b>/x"}, "There is no model"),
        ({"model": "x" * 5000}, "There is no model"),
        ({"model": "../../nothing/here"}, "There is no model"),
        ({"model": "~nobody-there/x"}, "There is no model"),
        ({"model": "a\0b"}, " model"),
        ({"context": "many"}, "context must be a whole number, not &#39;many&#39;."),
        ({"context": 0}, "context must lie between 1 and"),
        ({"context": "9" * 40}, "context must lie between 1 and"),
        ({"batch": -1}, "batch must lie between 1 and"),
        ({"attention": "sdpa"}, "has no"),
        ({"dtype": "int3"}, "There is no precision"),
        ({"dtype": "fp4"}, "fp4 is not compared here."),
        ({"model": "openai/gpt-oss-20b", "dtype": "nf4"}, "stored in mxfp4 already"),
        ({"train": "sft"}, "There is no training"),
        ({"train": "lora", "rank": 0}, "rank must lie between 1 and 4096"),
        ({"train": "qlora", "dtype": "bfloat16"}, "qlora trains over packed weights"),
        ({"model": "path"}, "Give the path of a folder"),
        ({"model": "pasted"}, "Paste the text of a config.json"),
        ({"model": "pasted", "config": "["}, "no valid JSON"),
        ({"model": "pasted", "config": "[" * 100_000}, "no valid JSON"),
        ({"model": "pasted", "config": "[]"}, "no object"),
        ({"model": "pasted", "config": '{"model_type": "<b>"}'}, "&lt;b&gt;"),
        ({"model": "pasted", "config": '{"model_type": "llama", "num_hidden_layers": 1000000000000}'}, "must lie"),
        ({"model": "pasted", "config": "9" * 5000}, "no valid JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_one_sentence(page: Fit, fields: dict[str, Any], words: str) -> None:
    form, said, chart, cards = page.ask(event(**fields, n=7), request())
    assert (form, chart, cards) == ({"n": "7"}, None, "")
    assert words in said
    assert said.count('role="alert"') == 1
    assert "<b>" not in said


@pytest.mark.parametrize(
    "data", [{}, {"model": None}, {"model": ["x"], "context": None, "n": {}}, {"model": {}, "config": 7}]
)
def test_no_event_that_a_browser_makes_up_breaks_it(page: Fit, data: dict[str, Any]) -> None:
    assert len(page.ask(event(**data), request())) == 4


def test_the_address_is_the_question(home: Settings) -> None:
    assert read_asked({}) == Asked()
    assert read_asked("no object") == Asked()
    given = read_asked(
        {"model": "google/gemma-2-2b", "context": "8,192", "batch": "4", "attention": "eager", "dtype": "nf4"}
    )
    assert (given.context, given.batch, given.attention, given.precision) == (8192, 4, "eager", "nf4")
    assert read_asked({"train": "qlora"}).precision == "nf4"


def test_a_folder_a_file_and_a_pasted_text_give_the_same_answer(home: Settings, tmp_path: Path) -> None:
    config = json.dumps(config_of("Qwen/Qwen2.5-0.5B"))
    (tmp_path / "config.json").write_text(config)
    known = answer(read_asked({"model": "Qwen/Qwen2.5-0.5B"}), home).as_json()
    for fields in (
        {"model": str(tmp_path)},
        {"model": str(tmp_path / "config.json")},
        {"model": "pasted", "config": config},
    ):
        assert answer(read_asked(fields), home).as_json() == known


def test_a_path_is_read_for_those_alone_who_sit_at_the_machine(tmp_path: Path, workbench: Workbench) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config_of("Qwen/Qwen2.5-0.5B")))
    assert may_name_paths(workbench.settings)
    for update in ({"host": "0.0.0.0"}, {"allowed_hosts": "bench.example"}):
        settings = workbench.settings.model_copy(update=update)
        assert not may_name_paths(settings)
        with gr.Blocks():
            page = Fit(Workbench(settings, workbench.store))
        assert "There is no model" in page.ask(event(model=str(tmp_path)), request())[1]
        assert 'value="path"' not in page.form.html_template


def test_the_cards_of_the_workers_are_in_the_list(page: Fit, workbench: Workbench) -> None:
    workbench.store.report_worker(WorkerInfo("w", "interactive", "box", 1, "NVIDIA L40S", "gpu", 48e9, 45e9, 1), 60)
    workbench.store.report_worker(WorkerInfo("v", "batch", "box", 2, "NVIDIA L40S", "gpu", 48e9, 45e9, 1), 60)
    *_, cards = page.ask(event(), request())
    assert cards.count('<th scope="row">NVIDIA L40S of box</th>') == 2  # in the table of cards and in that of sources
    assert "as its worker says" in cards


def test_lines_that_would_touch_are_one_or_lifted() -> None:
    drawn = lines(cards_there([])[:6], 36_000_000_000, 1e9)
    assert [one.name for one in drawn] == ["T4 16", "L4 24", "RTX 4090 24 / RTX 3090 24", "A100 40"]
    assert [one.level for one in drawn] == [0, 0, 1, 0]
    assert lines([T4], 400_000_000, 1e6) == []  # so far off that nothing would be seen of the bars


def test_a_chart_is_data_whose_axis_holds_all_of_it() -> None:
    parts = [charts.Bars("a", [1, 2], 0), charts.Bars("b", [1, 3], 1), charts.Bars("c", [4, 0], 2, is_beside=True)]
    made = charts.bars(["x", "y"], parts, [charts.Line("limit", 7.5)], "GB", "in words")
    assert json.loads(json.dumps(made)) == made
    assert made["xAxis"]["max"] == 8
    assert [charts.steps(edge)[1] for edge in (0.0, 0.41, 9.9, 42.4, 400)] == [1, 0.5, 10, 50, 400]
