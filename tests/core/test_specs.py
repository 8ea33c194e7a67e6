"""Specs, states and ids: what is refused, and with which words."""

from __future__ import annotations

import contextlib
import json
import shlex
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput, IllegalMove, UnknownKind
from core.ids import ID_LENGTH, is_id, new_id
from core.jobs import KINDS, Kinds
from core.jobs.generate import GenerateSpec
from core.spec import as_command, flag_of, parse_spec
from core.states import MOVES, State, check_move

PROMPT = {"prompt": "Why?"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "prompt is missing"),
        ({"prompt": "  \n "}, "prompt is empty"),
        (PROMPT | {"colour": "red"}, "no field colour"),
        (PROMPT | {"temperature": 2.5}, "temperature: input should be less than or equal to 2, not 2.5"),
        (PROMPT | {"temperature": "hot"}, "temperature: input should be a valid number"),
        (PROMPT | {"max_new_tokens": 0}, "max_new_tokens: input should be greater than or equal to 1, not 0"),
        (PROMPT | {"max_new_tokens": 2.5}, "max_new_tokens: input should be a valid integer"),
        (PROMPT | {"max_new_tokens": True}, "max_new_tokens"),
        (PROMPT | {"mode": "sing"}, "mode: input should be 'chat' or 'completion'"),
        (PROMPT | {"stop": ["a"] * 5}, "stop"),
        (PROMPT | {"stop": [""]}, "stop.0"),
        (PROMPT | {"messages": [{"role": "god", "content": "x"}]}, "messages.0.role"),
        (PROMPT | {"mode": "completion", "system": "Be brief."}, "belong to a chat"),
        (PROMPT | {"top_p": float("nan")}, "top_p"),
        ({"prompt": "x" * 200_001}, "prompt"),
    ],
)
def test_what_a_spec_refuses_it_names_with_the_range(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_spec(GenerateSpec, fields)
    assert words in refused.value.message
    assert len(refused.value.message) < 300


def test_a_spec_cannot_be_changed() -> None:
    spec = parse_spec(GenerateSpec, PROMPT)
    with pytest.raises(ValueError, match="frozen"):
        spec.prompt = "other"  # type: ignore[misc]


specs: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    prompt=st.text(min_size=1, max_size=50).filter(str.strip),
    temperature=st.none() | st.floats(0, 2),
    top_k=st.none() | st.integers(0, 1000),
    seed=st.none() | st.integers(0, 2**32 - 1),
    stop=st.lists(st.text(min_size=1, max_size=8), max_size=4),
    system=st.text(max_size=20),
)


@given(specs)
def test_a_spec_survives_json(fields: dict[str, Any]) -> None:
    spec = parse_spec(GenerateSpec, fields)
    assert parse_spec(GenerateSpec, json.loads(json.dumps(spec.model_dump(mode="json")))) == spec


@given(specs)
def test_the_command_that_is_shown_names_every_field_that_differs(fields: dict[str, Any]) -> None:
    spec = parse_spec(GenerateSpec, fields)
    words = shlex.split(as_command("generate", spec))
    assert words[:3] == ["workbench", "submit", "generate"]
    assert {flag_of(name, type(spec).model_fields[name]) for name in spec.model_dump(exclude_defaults=True)} <= set(
        words
    )


@given(st.dictionaries(st.text(max_size=10), st.none() | st.booleans() | st.integers() | st.text() | st.floats()))
def test_no_input_whatever_raises_anything_but_bad_input(fields: dict[str, Any]) -> None:
    with contextlib.suppress(BadInput):
        parse_spec(GenerateSpec, fields)


def test_every_field_of_every_kind_explains_itself() -> None:
    for kind in KINDS:
        for name, field in kind.spec.model_fields.items():
            assert field.description, f"{kind.name}.{name}"


def test_an_unknown_kind_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownKind) as refused:
        Kinds()["sing"]
    assert "generate" in refused.value.hint


@pytest.mark.parametrize(("old", "new"), [*product(State, State)])
def test_every_move_that_is_not_in_the_table_is_refused(old: State, new: State) -> None:
    if new in MOVES[old]:
        check_move(old, new)
    else:
        with pytest.raises(IllegalMove):
            check_move(old, new)


@given(st.lists(st.sampled_from(State), min_size=2, max_size=8))
def test_no_walk_leaves_a_finished_state(walk: list[State]) -> None:
    for old, new in pairwise(walk):
        if old.is_finished:
            assert new not in MOVES[old]


@given(st.integers(1, 300))
def test_ids_rise_and_have_one_form(n: int) -> None:
    ids = [new_id() for _ in range(n)]
    assert ids == sorted(set(ids))
    assert all(is_id(one) and len(one) == ID_LENGTH for one in ids)


@given(st.text(max_size=30))
def test_hardly_any_text_is_an_id(text: str) -> None:
    assert not is_id(text) or (len(text) == ID_LENGTH and text.isalnum())
