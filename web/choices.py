"""A choice of which some options cannot be had: each of those says why, to the eye and to a screen reader.

Gradio's own radio buttons and lists cannot disable one option. What is refused here the Spec refuses with the same
reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from web.templates import fragment
from web.words import Chip

Why = Mapping[str, str]  # option → why it cannot be had


@dataclass(frozen=True)
class Option:
    """One option; `note` and `chip` stand beside it, where there is something to say."""

    value: str
    note: str = ""
    chip: Chip | None = None


def choice(name: str, title: str, help: str, options: Sequence[str], default: str, why: Why) -> gr.HTML:
    """The component of a form; its value is `{"is": value, "why": …}`, since both change from Python."""
    html = render(name, title, help, [Option(each) for each in options], default, {})
    return gr.HTML(
        value=shown(default, why),
        html_template=f'<div class="wb">{html}</div>',
        js_on_load="wb.choice(element, props, watch)",
        apply_default_css=False,
        elem_id=f"field-{name}",
        elem_classes="wb-host",
    )


def render(
    name: str,
    title: str,
    help: str,
    options: Sequence[Option],
    chosen: str,
    why: Why,
    *,
    is_list: bool = False,
) -> str:
    """The same as a fragment."""
    return fragment(
        "choice",
        name=name,
        title=title,
        help=help,
        options=options,
        chosen=chosen,
        why=why,
        reasons=by_reason(why, [option.value for option in options]),
        is_list=is_list,
    )


def shown(value: object, why: Why) -> dict[str, object]:
    """What the component shows."""
    return {"is": value, "why": dict(why)}


def reasons(why: Why) -> dict[str, object]:
    """The same where only the reasons are news: what is chosen stays."""
    return {"why": dict(why)}


def read(value: object) -> object:
    """The option in what a browser sent."""
    return value.get("is") if isinstance(value, dict) else value


def by_reason(why: Why, options: Sequence[str]) -> dict[str, list[str]]:
    """The options that cannot be had, put together by their reason."""
    found: dict[str, list[str]] = defaultdict(list)
    for option in options:
        if option in why:
            found[why[option]].append(option)
    return dict(found)
