"""From a Spec to its controls, and back: bounds become sliders, a Literal a choice, the description its help.

A field that may be left unset keeps that as a state of its own: "the model's own value" is not a number. What comes
from the browser is checked by the Spec alone, since no component holds anybody to its bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import gradio as gr
from pydantic.fields import FieldInfo

from core.spec import Spec
from web.templates import fragment

LONG_TEXT = 1_000
TITLES = {"max_new_tokens": "New tokens", "system": "System prompt", "top_p": "Top p", "top_k": "Top k"}


@dataclass(frozen=True)
class Control:
    """One field of a form: its component, and the way from the field's value to the component's and back."""

    name: str
    component: Any
    show: Callable[[Any], Any]
    read: Callable[[Any], Any]
    is_advanced: bool


def control(name: str, field: FieldInfo, choices: Sequence[tuple[str, str]] = ()) -> Control:
    """The control of one Spec field."""
    kind, is_optional = _kind(field.annotation)
    title = TITLES.get(name, name.replace("_", " ").capitalize())
    is_advanced = bool(isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("advanced"))
    options: dict[str, Any] = {"label": title, "info": field.description, "elem_id": f"field-{name}"}

    def made(component: Any, show: Callable[[Any], Any] = _same, read: Callable[[Any], Any] = _same) -> Control:
        return Control(name, component, show, read, is_advanced)

    default = field.get_default()
    if choices:
        return made(gr.Dropdown(list(choices), value=default, allow_custom_value=True, **options))
    if get_origin(kind) is Literal:
        return made(gr.Radio(list(get_args(kind)), value=default, **options))
    if get_origin(kind) is tuple:
        box = gr.Textbox("", lines=1, max_lines=4, placeholder="One a line; \\n is a line break", **options)
        return made(box, _lines, _read_lines)
    if kind in (int, float):
        return made(number(name, title, field, kind, is_optional), lambda value: value, _read_number(kind))
    if kind is bool:
        return made(gr.Checkbox(default, **options))
    lines = 2 if _bounds(field).get("max_length", 0) > LONG_TEXT else 1
    return made(gr.Textbox(default, lines=lines, max_lines=8, **options), _same, lambda value: value or "")


def controls(
    spec: type[Spec], skip: Collection[str] = (), choices: Mapping[str, Sequence[tuple[str, str]]] | None = None
) -> list[Control]:
    """The controls of a Spec in its own order, the advanced ones folded away; call it inside a Blocks context.

    `choices` offers values, with what they are called, for a text that may be something else too.
    """
    offered = choices or {}
    fields = {name: field for name, field in spec.model_fields.items() if name not in skip}
    advanced = {name for name, field in fields.items() if (field.json_schema_extra or {}).get("advanced")}  # type: ignore[union-attr]
    found = [control(name, field, offered.get(name, ())) for name, field in fields.items() if name not in advanced]
    if advanced:
        with gr.Accordion("Advanced", open=False):
            found += [control(name, field, offered.get(name, ())) for name, field in fields.items() if name in advanced]
    return found


def shown(form: Collection[Control], spec: Mapping[str, Any]) -> list[Any]:
    """What each component shows for the fields of a spec."""
    return [control.show(spec.get(control.name)) for control in form]


def read(form: Collection[Control], values: Collection[Any]) -> dict[str, Any]:
    """The fields of a spec from what the components hold; what is unset is left out."""
    fields = {control.name: control.read(value) for control, value in zip(form, values, strict=True)}
    return {name: value for name, value in fields.items() if value is not None}


def number(name: str, title: str, field: FieldInfo, kind: type, is_optional: bool) -> gr.HTML:
    """A number with its slider, which may be left unset."""
    bounds = _bounds(field)
    low, high = bounds.get("ge", bounds.get("gt", 0)), bounds.get("le", bounds.get("lt"))
    html = fragment(
        "number",
        name=name,
        title=title,
        help=field.description or "",
        low=low,
        high=high,
        step=1 if kind is int else 0.05,
        has_slider=high is not None and high <= 10_000,
        is_optional=is_optional,
    )
    return gr.HTML(
        value=field.get_default(),
        html_template=html,
        js_on_load="wb.number(element, props, watch)",
        apply_default_css=False,
        elem_id=f"field-{name}",
        elem_classes="wb-host",
    )


def _kind(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        if len(inner) == 1:
            return inner[0], True
    return annotation, False


def _bounds(field: FieldInfo) -> dict[str, Any]:
    names = ("ge", "gt", "le", "lt", "max_length")
    return {name: getattr(rule, name) for rule in field.metadata for name in names if hasattr(rule, name)}


def _same(value: Any) -> Any:
    return value


def _read_number(kind: type) -> Callable[[Any], Any]:
    def read_one(value: Any) -> Any:
        if value is None or value == "":
            return None
        if kind is int and isinstance(value, float) and value.is_integer():
            return int(value)  # JavaScript has one kind of number
        return value

    return read_one


def _lines(value: Collection[str] | None) -> str:
    return "\n".join(line.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") for line in value or ())


def _read_lines(text: Any) -> list[str]:
    escapes = {"\\\\": "\\", "\\n": "\n", "\\t": "\t"}
    found = []
    for line in str(text or "").split("\n"):
        parts, rest = [], line
        while rest:
            taken = rest[:2] if rest[:2] in escapes else rest[:1]
            parts.append(escapes.get(taken, taken))
            rest = rest[len(taken) :]
        found.append("".join(parts))
    return [line for line in found if line]
