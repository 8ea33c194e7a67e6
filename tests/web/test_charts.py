from __future__ import annotations

import json
from html import unescape

from web.charts import Axis, Curve, Dot, Dots, Line, curves, heat, placed, scatter

MEMORY, LOSS = Axis("Peak memory", "GB"), Axis("KL", "nats a token")


def test_curves_show_each_place_once_in_the_table_and_a_dash_where_nothing_was_measured() -> None:
    drawn = [
        Curve("eager", [(512, 1.5), (1024, 3.0)], 0),
        Curve("sdpa", [(1024, 2.0), (2048, None)], 2, is_dashed=True),
    ]
    made = curves(drawn, Axis("Prompt", "tokens"), MEMORY, "in words", [Line("limit", 700)])
    assert made["table"]["head"] == ["Prompt, tokens", "eager, GB", "sdpa, GB"]
    assert made["table"]["rows"] == [[512, 1.5, None], [1024, 3.0, 2.0], [2048, None, None]]
    assert made["series"][1]["dashed"] is True
    assert made["series"][0]["markLine"]["data"][0]["name"] == "limit"
    assert json.loads(json.dumps(made)) == made


def test_dots_are_as_large_as_their_third_figure_says() -> None:
    groups = [Dots("kept", [Dot("a", 1.0, 0.1, 40.0), Dot("b", 2.0, 0.0, 10.0)], 0), Dots("beaten", [], 2, True)]
    made = scatter(groups, MEMORY, LOSS, "in words", Axis("Speed", "tok/s"))
    assert [dot["share"] for dot in made["series"][0]["data"]] == [1.0, 0.25]
    assert made["table"]["head"] == ["", "Peak memory, GB", "KL, nats a token", "Speed, tok/s", "group"]
    assert made["table"]["rows"][1] == ["b", 2.0, 0.0, 10.0, "kept"]


def test_a_field_without_a_figure_is_empty_and_never_0() -> None:
    made = heat(["q", "head"], ["0", "1"], [[1.0, 2.0], [None, 4.0]], Axis("layer"), Axis("error", "%"), "in words")
    assert [0, 1, 0] not in made["series"][0]["data"]
    assert made["most"] == 4.0
    assert made["table"]["rows"] == [["q", 1.0, 2.0], ["head", None, 4.0]]


def test_nothing_at_all_is_a_chart_too() -> None:
    assert curves([], Axis("a"), Axis("b"), "")["table"]["rows"] == []
    assert scatter([], MEMORY, LOSS, "")["series"] == []
    assert heat([], [], [], MEMORY, LOSS, "")["most"] == 1


def test_what_a_stranger_called_it_stays_text_where_a_chart_stands_in_a_fragment() -> None:
    name = '"><img src=x onerror=alert(1)>'
    made = placed("Title", 300, scatter([Dots("g", [Dot(name, 1.0, 2.0)], 0)], MEMORY, LOSS, name))
    assert "<img" not in made
    drawn = unescape(str(made).partition('data-drawn="')[2].partition('"')[0])
    assert json.loads(drawn)["series"][0]["data"][0]["name"] == name
