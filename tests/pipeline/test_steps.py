"""What is refused when a pipeline is submitted, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import BadInput, UnknownKind
from core.jobs.pipeline import PipelineSpec
from core.pipeline.references import names_in, replaced
from core.spec import parse_spec
from core.store import Store
from tests.pipeline.hands import Hands, step


@pytest.fixture
def sqlite_hands(sqlite_url: str, tmp_path: Path) -> Hands:
    return Hands(Store.open(sqlite_url), tmp_path)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([step("a"), step("a")], "There are two steps named a."),
        ([step("a", source="@b")], "a: there is no step b; there are a."),
        ([step("a", source="@a")], "Steps wait for each other: a → a."),
        ([step("a", source="@b"), step("b", source="@a")], "Steps wait for each other"),
        ([step("A")], "steps.0.name: string should match"),
        ([], "steps: tuple should have at least 1 item"),
        ([step("a", wrong=1)], "a: There is no field wrong."),
        ([step("a"), step("b", source="@a", seconds=-1)], "b: seconds: input should be greater than or equal to 0"),
        ([{"name": "a", "kind": "pipeline", "fields": {"steps": [step("b")]}}], "a: A pipeline cannot be a step."),
    ],
)
def test_what_could_never_run_is_refused_in_a_sentence(
    sqlite_hands: Hands, steps: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(BadInput) as refused:
        sqlite_hands.submit(*steps)
    assert said in refused.value.message


def test_an_unknown_kind_is_refused_with_the_name_of_its_step(sqlite_hands: Hands) -> None:
    with pytest.raises(UnknownKind, match="a: There is no kind of job named sing"):
        sqlite_hands.submit({"name": "a", "kind": "sing", "fields": {}})


def test_a_fresh_start_needs_a_step_of_that_name() -> None:
    with pytest.raises(BadInput, match="fresh_from: there is no step z"):
        parse_spec(PipelineSpec, {"steps": [step("a")], "fresh_from": "z"})


def test_a_name_is_a_reference_at_the_beginning_of_a_value_or_a_part_alone() -> None:
    value = {"a": "@sft", "b": ["model:@reward,label=x", "bf16+adapter=@sft"], "c": "write to me@home or @work"}
    assert list(names_in(value)) == ["sft", "reward", "sft"]
    assert replaced(value, str.upper) == {
        "a": "SFT",
        "b": ["model:REWARD,label=x", "bf16+adapter=SFT"],
        "c": "write to me@home or @work",
    }
