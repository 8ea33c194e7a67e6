"""From a Spec to its controls, and back: bounds become sliders, a Literal a choice, the description its help.

A field that may be left unset keeps that as a state of its own: "the model's own value" is not a number. What comes
from the browser is checked by the Spec alone, since no component holds anybody to its bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import gradio as gr
from pydantic.fields import FieldInfo

from core.spec import Spec
from web import choices, form_values
from web.form_titles import TITLES, UNSAID
from web.form_values import same
from web.templates import fragment

LONG_TEXT = 1_000


@dataclass(frozen=True)
class Control:
    """One field of a form: its component, and the way from the field's value to the component's and back."""

    name: str
    component: Any
    show: Callable[[Any], Any]
    read: Callable[[Any], Any]
    is_advanced: bool


def control(
    name: str, field: FieldInfo, offered: Sequence[tuple[str, str]] | None = None, *, has_slider: bool = True
) -> Control:
    """The control of one Spec field; `offered` are values, with what they are called, of a text that may be another."""
    kind, is_optional = kind_of(field.annotation)
    title = TITLES.get(name, name.replace("_", " ").capitalize())
    is_advanced = bool(isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("advanced"))
    options: dict[str, Any] = {"label": title, "info": field.description, "elem_id": f"field-{name}"}

    def made(component: Any, show: Callable[[Any], Any] = same, read: Callable[[Any], Any] = same) -> Control:
        return Control(name, component, show, read, is_advanced)

    default = field.get_default()
    if isinstance(default, StrEnum):
        default = str(default)
    if offered is not None:
        offer = gr.Dropdown(list(offered), value=default, allow_custom_value=True, **options)
        return made(offer, same, form_values.read_text if is_optional else same)
    if words := option_words(name, kind, is_optional=is_optional):
        return _choice(name, title, field, words, is_advanced)
    if get_origin(kind) is tuple and kind_of(get_args(kind)[0])[0] is int:
        return made(
            gr.Textbox(form_values.numbers(default), lines=1, **options), form_values.numbers, form_values.read_text
        )
    if get_origin(kind) is tuple:
        box = gr.Textbox(
            form_values.lines(default),
            lines=max(1, len(default)),
            max_lines=8,
            placeholder="One a line; \\n is a line break",
            **options,
        )
        return made(box, form_values.lines, form_values.read_lines)
    if kind in (int, float):
        with_slider = number(name, title, field, kind, is_optional, has_slider=has_slider)
        return made(with_slider, same, form_values.read_number(kind))
    if kind is bool:
        return made(gr.Checkbox(default, **options))
    lines = 2 if bounds_of(field).get("max_length", 0) > LONG_TEXT else 1
    box = gr.Textbox(default, lines=lines, max_lines=8, **options)
    return made(box, same, form_values.read_text if is_optional else lambda value: value or "")


def controls(
    spec: type[Spec],
    skip: Collection[str] = (),
    offers: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    below: Mapping[str, Callable[[], object]] | None = None,
) -> list[Control]:
    """The controls of a Spec in its own order, the advanced ones folded away; call it inside a Blocks context.

    Args:
        spec: the fields.
        skip: fields that the page asks for itself.
        offers: values, with what they are called, for a text that may be something else too.
        below: makes what stands below a field.
    """
    offered, added = offers or {}, below or {}

    def made(name: str) -> Control:
        found = control(name, fields[name], offered.get(name))
        added.get(name, lambda: None)()
        return found

    fields = {name: field for name, field in spec.model_fields.items() if name not in skip}
    advanced = {name for name, field in fields.items() if (field.json_schema_extra or {}).get("advanced")}  # type: ignore[union-attr]
    found = [made(name) for name in fields if name not in advanced]
    if advanced:
        with gr.Accordion("Advanced", open=False):
            found += [made(name) for name in fields if name in advanced]
    return found


def offered(
    form: Collection[Control], offers: Mapping[str, Any], why: choices.Why, spec: Mapping[str, Any]
) -> list[Any]:
    """What each component shows once it is known what there is; the fields that `spec` has get their values too."""
    return [_offered(control, offers, why, spec) for control in form]


def _offered(control: Control, offers: Mapping[str, Any], why: choices.Why, spec: Mapping[str, Any]) -> Any:
    is_set = control.name in spec
    if control.name in offers:
        value = {"value": control.show(spec[control.name])} if is_set else {}
        return gr.update(choices=offers[control.name], **value)
    if control.read is choices.read:
        return choices.shown(spec[control.name], why) if is_set else choices.reasons(why)
    return control.show(spec[control.name]) if is_set else gr.skip()


def read(form: Collection[Control], values: Collection[Any]) -> dict[str, Any]:
    """The fields of a spec from what the components hold; what is unset is left out."""
    fields = {control.name: control.read(value) for control, value in zip(form, values, strict=True)}
    return {name: value for name, value in fields.items() if value is not None}


def number(
    name: str, title: str, field: FieldInfo, kind: type, is_optional: bool, *, has_slider: bool = True
) -> gr.HTML:
    """A number with its slider, which may be left unset."""
    bounds = bounds_of(field)
    low, high = bounds.get("ge", bounds.get("gt", 0)), bounds.get("le", bounds.get("lt"))
    html = fragment(
        "number",
        name=name,
        title=title,
        help=field.description or "",
        low=low,
        high=high,
        step=1 if kind is int else 0.05,
        has_slider=has_slider and high is not None and high <= 10_000,
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


def option_words(name: str, kind: Any, *, is_optional: bool) -> dict[Any, str]:
    """Each value of a field that is chosen from a few, with the word for it; nothing for other fields."""
    if get_origin(kind) is Literal:
        return {value: str(value) or UNSAID.get(name, "none") for value in get_args(kind)}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {str(value): str(value) for value in kind}
    return {None: "auto", True: "on", False: "off"} if kind is bool and is_optional else {}


def _choice(name: str, title: str, field: FieldInfo, words: Mapping[Any, str], is_advanced: bool) -> Control:
    default = field.get_default()
    values: dict[Any, Any] = {word: value for value, word in words.items()}
    component = choices.choice(name, title, field.description or "", list(values), words[default], {})
    show, read = choices.shown, choices.read
    if all(value == word for value, word in words.items()):  # what cannot be had is known by these words
        return Control(name, component, lambda value: show(value, {}), read, is_advanced)
    return Control(
        name,
        component,
        lambda value: show(words.get(value, value), {}),
        lambda held: values.get(read(held), read(held)),
        is_advanced,
    )


def kind_of(annotation: Any) -> tuple[Any, bool]:
    """The type of a field without its bounds, and whether it may be left unset."""
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        if len(inner) == 1:
            return inner[0], True
    return annotation, False


def bounds_of(field: FieldInfo) -> dict[str, Any]:
    """What a field's value or length is bounded by, by the names that pydantic gives them."""
    names = ("ge", "gt", "le", "lt", "max_length")
    return {name: getattr(rule, name) for rule in field.metadata for name in names if hasattr(rule, name)}
