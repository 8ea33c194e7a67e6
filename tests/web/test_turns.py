from __future__ import annotations

import pytest

from core.client import Workbench
from core.errors import BadInput, NotFound
from core.states import State
from core.store.claims import Kept
from core.values import Job
from web import turns


def answer(workbench: Workbench, job: Job, text: str | None, state: State = State.SUCCEEDED) -> Job:
    claim = workbench.store.claim("interactive", "w", 60)
    assert claim is not None
    assert claim.job_id == job.id
    result = None if text is None else {"text": text}
    workbench.store.finish(job.id, claim.attempt, state, result, Kept())
    return workbench.show(job.id)


def test_a_turn_holds_the_whole_conversation_and_its_parent(workbench: Workbench) -> None:
    first = answer(workbench, turns.send(workbench, "", "one", {"system": "be brief"}, "k1"), "eins")
    second = answer(workbench, turns.send(workbench, first.id, "two", {"system": "be brief"}, "k2"), "zwei")
    third = turns.send(workbench, second.id, "three", {}, "k3")
    assert [turn["content"] for turn in third.spec["messages"]] == ["one", "eins", "two", "zwei"]
    assert (first.parent, second.parent, third.parent) == (None, first.id, second.id)


def test_the_same_key_is_one_turn(workbench: Workbench) -> None:
    assert turns.send(workbench, "", "one", {}, "k").id == turns.send(workbench, "", "one", {}, "k").id


def test_the_next_turn_waits_for_the_end_of_the_one_before(workbench: Workbench) -> None:
    running = turns.send(workbench, "", "one", {}, "k1")
    with pytest.raises(BadInput, match="still being written"):
        turns.send(workbench, running.id, "two", {}, "k2")


def test_a_turn_without_an_answer_is_passed_over(workbench: Workbench) -> None:
    first = answer(workbench, turns.send(workbench, "", "one", {}, "k1"), "eins")
    stopped = turns.send(workbench, first.id, "never answered", {}, "k2")
    workbench.cancel(stopped.id)
    third = turns.send(workbench, stopped.id, "two", {}, "k3")
    assert [turn["content"] for turn in third.spec["messages"]] == ["one", "eins"]
    assert third.parent == first.id


def test_a_stopped_answer_counts_as_far_as_it_was_written(workbench: Workbench) -> None:
    job = answer(workbench, turns.send(workbench, "", "one", {}, "k1"), "ei", State.CANCELLED)
    assert turns.after(workbench, job.id).messages[-1] == {"role": "assistant", "content": "ei"}


def test_editing_an_earlier_message_begins_again_from_there(workbench: Workbench) -> None:
    first = answer(workbench, turns.send(workbench, "", "one", {}, "k1"), "eins")
    second = answer(workbench, turns.send(workbench, first.id, "two", {}, "k2"), "zwei")
    third = answer(workbench, turns.send(workbench, second.id, "three", {}, "k3"), "drei")
    edited = turns.edit(workbench, third.id, 2, "two, better", {}, "k4")
    assert (edited.spec["prompt"], edited.parent) == ("two, better", first.id)
    assert [turn["content"] for turn in edited.spec["messages"]] == ["one", "eins"]
    for index in (1, 3, 5, -1, 99):
        with pytest.raises(BadInput, match="can be edited"):
            turns.edit(workbench, third.id, index, "x", {}, f"k{index}")


def test_regenerating_asks_the_same_without_the_old_seed(workbench: Workbench) -> None:
    first = answer(workbench, turns.send(workbench, "", "one", {"seed": 7}, "k1"), "eins")
    again = turns.regenerate(workbench, first.id, {"seed": 7, "temperature": 0.5}, "k2")
    assert (again.spec["prompt"], again.spec["seed"], again.spec["temperature"]) == ("one", None, 0.5)


def test_a_completion_has_no_conversation(workbench: Workbench) -> None:
    fields = {"mode": "completion", "system": "left in the form"}
    first = answer(workbench, turns.send(workbench, "", "Once", fields, "k1"), " upon")
    second = turns.send(workbench, first.id, "Twice", fields, "k2")
    assert (second.parent, second.spec["messages"], second.spec["system"]) == (None, [], "")
    assert turns.after(workbench, first.id).messages == ()


def test_a_conversation_of_somebody_else_cannot_be_gone_on_with_unless_it_is_seen(workbench: Workbench) -> None:
    with pytest.raises(NotFound):
        turns.send(workbench, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", {}, "k")
