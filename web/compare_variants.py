"""The control that chooses variants: sets, precisions and attentions to tick, and lines for what is beyond them.

Its value is what is ticked; what cannot run here stays ticked in it, is shown with the reason, and is left out of the
spec. The lines of a spec are put back into ticks where they are every precision with every attention.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

import gradio as gr

from core.comparison.variants import BEFORE_AFTER, PRESETS, Asked, read_variant
from core.errors import WorkbenchError
from core.jobs.compare import CompareSpec
from core.variant import AUTO, AttentionChoice, Dtype
from web.choices import Why
from web.form_values import lines, read_lines
from web.templates import fragment

PRECISIONS: tuple[str, ...] = (*(one for one in get_args(Dtype) if one != AUTO), AUTO)
ATTENTIONS: tuple[str, ...] = get_args(AttentionChoice)
TITLES = {"ladder": "Precision ladder", "attention": "Attention", BEFORE_AFTER: "Before and after tuning"}
Held = Mapping[str, Any]
SCRIPT = "wb.variants(element, props, watch)"


def component() -> gr.HTML:
    """The control, with the ladder ticked."""
    fields = CompareSpec.model_fields
    template = fragment(
        "compare_variants",
        sets={name: (TITLES[name], sorted(_ticks(PRESETS.get(name, ())))) for name in TITLES},
        before_after=BEFORE_AFTER,
        precisions=PRECISIONS,
        attentions=ATTENTIONS,
        fields=fields,
    )
    value = shown(fields["variants"].get_default(), {}, {})
    return gr.HTML(
        value, html_template=template, js_on_load=SCRIPT, apply_default_css=False, elem_id="variants",
        elem_classes="wb-host",
    )  # fmt: skip


def shown(
    variants: Collection[str], spec: Mapping[str, Any], why: Why, offers: Mapping[str, Any] | None = None
) -> Held:
    """What the control shows for the lines of a spec."""
    held: dict[str, Any] = {"why": dict(why), "offers": dict(offers or {})}
    adapter, merged = str(spec.get("adapter") or ""), str(spec.get("merged") or "")
    if adapter or merged:
        return held | {"set": BEFORE_AFTER, "ticked": [], "more": "", "adapter": adapter, "merged": merged}
    asked = [found for line in variants if (found := _read(line))]
    precisions = list(dict.fromkeys(one.dtype for one in asked))
    attentions = list(dict.fromkeys(one.attention for one in asked))
    every = {_line(precision, attention) for precision in precisions for attention in attentions}
    plain = [line for line in variants if line in every]
    if len(plain) == len(variants) == len(every) and set(precisions) <= set(PRECISIONS):
        ticked = [f"p:{one}" for one in precisions] + [f"a:{one}" for one in attentions]
        return held | {"set": "", "ticked": ticked, "more": "", "adapter": "", "merged": ""}
    return held | {"set": "", "ticked": [], "more": lines(variants), "adapter": "", "merged": ""}


def read(value: Any) -> dict[str, Any]:
    """The fields of the spec in what a browser sent."""
    held = value if isinstance(value, Mapping) else {}
    if held.get("set") == BEFORE_AFTER:
        words = {name: str(held.get(name) or "").strip() for name in ("adapter", "merged")}
        return {"variants": [BEFORE_AFTER], **words}
    why = held.get("why")
    barred = {str(name) for name in why} if isinstance(why, Mapping) else set()
    ticked = [str(one) for one in held.get("ticked") or ()][:100]
    precisions = [one for one in PRECISIONS if f"p:{one}" in ticked and one not in barred]
    attentions = [one for one in ATTENTIONS if f"a:{one}" in ticked and one not in barred]
    if not precisions and not attentions:
        return {"variants": read_lines(held.get("more"))}
    every = [_line(one, other) for one in precisions or [AUTO] for other in attentions or [AUTO]]
    return {"variants": [*every, *read_lines(held.get("more"))]}


def _ticks(names: Sequence[str]) -> set[str]:
    found = [read_variant(name) for name in names]
    return {f"p:{one.dtype}" for one in found} | {f"a:{one.attention}" for one in found}


def _line(precision: str, attention: str) -> str:
    return Asked(dtype=precision, attention=attention).text


def _read(line: str) -> Asked | None:
    try:
        return read_variant(line)
    except WorkbenchError:
        return None
