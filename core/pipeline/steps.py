"""The steps of a pipeline and the order that their references make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import Field

from core.errors import BadInput
from core.pipeline.references import names_in
from core.spec import Spec

MOST_STEPS = 20


class Step(Spec):
    """One job of a pipeline: a name, a kind and the fields of its Spec, where `@name` is what another step made."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,39}$", description="A short name: small letters, digits and underscores"
    )
    kind: str = Field(min_length=1, max_length=100, description="The kind of job")
    fields: dict[str, Any] = Field(
        default_factory=dict, description="The fields of its Spec; @NAME stands for what the step NAME made"
    )

    @property
    def needs(self) -> tuple[str, ...]:
        """The steps whose artifacts it takes, each once."""
        return tuple(dict.fromkeys(names_in(self.fields)))


def check_order(steps: Sequence[Step]) -> None:
    """Refuse steps that could never all begin.

    Raises:
        ValueError: two have one name, one names a step that is not there, or they wait for each other.
    """
    names = [step.name for step in steps]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"There are two steps named {twice}.")
    for step in steps:
        if missing := next((name for name in step.needs if name not in names), None):
            raise ValueError(f"{step.name}: there is no step {missing}; there are {', '.join(names)}.")
    try:
        TopologicalSorter({step.name: step.needs for step in steps}).prepare()
    except CycleError as error:
        raise ValueError(f"Steps wait for each other: {' → '.join(reversed(error.args[1]))}.") from error


def from_there(steps: Sequence[Step], name: str) -> frozenset[str]:
    """A step and all that take what it makes, at first or second hand."""
    found = {name}
    for _ in steps:  # each pass finds at least one more, or none at all
        found |= {step.name for step in steps if found.intersection(step.needs)}
    return frozenset(found)


def with_changes(steps: Sequence[Mapping[str, Any]], changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Steps, as JSON has them, with other values: `sft.max_steps` names the field of a step.

    Raises:
        BadInput: no step has that name, or a change names no field.
    """
    changed = [{**step, "fields": dict(step.get("fields") or {})} for step in steps]
    by_name = {str(step.get("name")): step["fields"] for step in changed}
    for where, value in changes.items():
        name, _, field = where.partition(".")
        if name not in by_name or not field:
            raise BadInput(f"{where} names no field of a step.", f"Give STEP.FIELD; steps are {', '.join(by_name)}.")
        by_name[name][field] = value
    return changed
