"""The steps of a pipeline as forms: what a preset or an earlier run names stands open, all else is folded away.

Steps come and go in the browser, so these are plain fields and no components: a step's Spec gives names, help, choices
and bounds here too, and it alone refuses what comes back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from core.client import Workbench
from core.errors import UnknownKind
from core.jobs.kind import AnyKind
from web.form_titles import TITLES
from web.forms import bounds_of, kind_of, option_words
from web.templates import fragment

NOT_ASKED = ("resume_from",)
STEPS_OFFERED = ("sft", "merge", "reward", "rlhf", "compare")


@dataclass(frozen=True)
class Field:
    """One field as it is drawn. `value` and the values of `options` are JSON, but for texts and lines."""

    name: str
    title: str
    help: str
    sort: str
    """text, lines, number, json, choice or flag."""
    value: str
    default: str
    is_named: bool
    options: tuple[tuple[str, str], ...] = ()
    low: Any = None
    high: Any = None

    @property
    def said(self) -> str:
        """Its value in words."""
        return dict(self.options).get(self.value, self.value)


@dataclass(frozen=True)
class DrawnStep:
    """One step with its fields."""

    name: str
    kind: str
    help: str
    fields: tuple[Field, ...]

    @property
    def named(self) -> list[Field]:
        """Those that differ from what is usual."""
        return [field for field in self.fields if field.is_named]

    @property
    def others(self) -> list[Field]:
        """Those that do not."""
        return [field for field in self.fields if not field.is_named]


def render_steps(client: Workbench, steps: Sequence[Mapping[str, Any]]) -> str:
    """All steps as forms; one of an unknown kind is left out."""
    return fragment("pipeline_steps", steps=list(_drawn(client, steps)), bound=lambda value: f"{value:,}")


def _drawn(client: Workbench, steps: Sequence[Mapping[str, Any]]) -> Iterator[DrawnStep]:
    for step in steps:
        try:
            kind = client.kinds[str(step.get("kind"))]
        except UnknownKind:
            continue
        given = step.get("fields")
        fields = fields_of(kind, given if isinstance(given, Mapping) else {})
        yield DrawnStep(str(step.get("name")), kind.name, kind.help, tuple(fields))


def fields_of(kind: AnyKind, given: Mapping[str, Any]) -> Iterator[Field]:
    """The fields of a kind's Spec, those that are given with their values."""
    for name, field in kind.spec.model_fields.items():
        if name not in NOT_ASKED:
            yield _field(name, field, given)


def _field(name: str, field: FieldInfo, given: Mapping[str, Any]) -> Field:
    annotation, is_optional = kind_of(field.annotation)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    words = option_words(name, annotation, is_optional=is_optional)
    sort = _sort(annotation, is_many=bool(words))
    bounds = bounds_of(field)
    return Field(
        name=name,
        title=TITLES.get(name, name.replace("_", " ").capitalize()),
        help=field.description or "",
        sort=sort,
        value=_shown(sort, given.get(name, default)),
        default=_shown(sort, default),
        is_named=name in given or field.is_required(),
        options=tuple((json.dumps(value), word) for value, word in words.items()),
        low=bounds.get("ge", bounds.get("gt")),
        high=bounds.get("le", bounds.get("lt")),
    )


def _sort(annotation: Any, *, is_many: bool) -> str:
    if is_many:
        return "choice"
    if annotation is bool:
        return "flag"
    if annotation in (int, float):
        return "number"
    if get_origin(annotation) is tuple:
        inner, _ = kind_of(annotation.__args__[0])
        return "lines" if inner is str else "json"
    return "text"


def _shown(sort: str, value: Any) -> str:
    if sort in ("choice", "flag"):
        return json.dumps(value)
    if value is None:
        return ""
    if sort == "lines":
        return "\n".join(map(str, value))
    return str(value) if sort == "text" else json.dumps(value)
