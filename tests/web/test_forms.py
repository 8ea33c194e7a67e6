from __future__ import annotations

import re
from typing import Any, Literal

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from core.jobs.generate import GenerateSpec
from core.spec import Spec, parse_spec
from web import form_values, forms
from web.pages.playground import OWN_FIELDS


class ExampleSpec(Spec):
    """One field of each sort."""

    how: Literal["fast", "well"] = Field("fast", description="How it is done")
    share: float | None = Field(None, ge=0, le=1, description="A share")
    count: int = Field(3, ge=1, le=9, description="A count")
    is_new: bool = Field(False, description="Whether it is new")
    name: str = Field("", max_length=100, description="A name")
    story: str = Field("", max_length=5_000, description="A story", json_schema_extra={"advanced": True})
    stop: tuple[str, ...] = Field((), description="Where to stop")


@pytest.fixture
def form() -> list[forms.Control]:
    with gr.Blocks():
        return forms.controls(ExampleSpec)


def test_each_field_gets_the_control_that_its_type_and_bounds_ask_for(form: list[forms.Control]) -> None:
    components = {control.name: control.component for control in form}
    assert components["how"].value == {"is": "fast", "why": {}}
    assert re.findall(r'data-value="(\w+)"', components["how"].html_template) == ["fast", "well"]
    assert isinstance(components["is_new"], gr.Checkbox)
    assert (components["name"].lines, components["story"].lines) == (1, 2)
    assert 'min="1" max="9"' in components["count"].html_template
    assert "data-unset" in components["share"].html_template
    assert "data-unset" not in components["count"].html_template
    assert "How it is done" in components["how"].html_template


def test_advanced_fields_are_folded_away_and_none_is_missing(form: list[forms.Control]) -> None:
    assert [control.name for control in form if control.is_advanced] == ["story"]
    assert {control.name for control in form} == set(ExampleSpec.model_fields)


def test_the_form_of_generate_has_every_field_that_the_page_does_not_ask_for_itself() -> None:
    with gr.Blocks():
        form = forms.controls(GenerateSpec, skip=OWN_FIELDS)
    assert {control.name for control in form} == set(GenerateSpec.model_fields) - set(OWN_FIELDS)


def test_what_is_unset_is_left_to_the_spec(form: list[forms.Control]) -> None:
    values: list[Any] = forms.offered(form, {}, {}, ExampleSpec().model_dump())
    assert parse_spec(ExampleSpec, forms.read(form, values)) == ExampleSpec()
    cleared = ["" if control.name == "share" else value for control, value in zip(form, values, strict=True)]
    assert "share" not in forms.read(form, cleared)


def test_a_whole_number_from_a_browser_is_an_integer(form: list[forms.Control]) -> None:
    values = [{"count": 4.0, "share": 1.0}.get(control.name) for control in form]
    assert parse_spec(ExampleSpec, forms.read(form, values)).count == 4


@given(
    st.lists(st.text(min_size=1).filter(lambda text: "\r" not in text and text.strip("\v\f\x1c-\x1e\x85\u2028\u2029")))
)
def test_stop_strings_survive_the_way_into_the_form_and_back(stop: list[str]) -> None:
    assert form_values.read_lines(form_values.lines(stop)) == stop
