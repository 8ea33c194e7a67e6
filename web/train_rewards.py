"""The rewards of a form: a row for each, with a choice of what scores it, and the text that the Spec reads.

What comes from a browser is put together as it stands: the Spec says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import gradio as gr
from pydantic.fields import FieldInfo

from core.errors import WorkbenchError
from core.training.rewards import Reward, Scale, Sort, parse_reward
from web.form_titles import TITLES
from web.forms import Control
from web.rewards_here import RewardOffer
from web.templates import fragment

SORTS = {
    Sort.MODEL: "a model",
    Sort.LENGTH: "length",
    Sort.WORDS: "words",
    Sort.LEXICON: "lexicon of kind words",
}
SCALES = {Scale.LOG_ODDS: "log-odds", Scale.LOGIT: "raw logit", Scale.PROBABILITY: "probability"}
Row = dict[str, Any]


def control(name: str, field: FieldInfo) -> Control:
    """The control of a field with rewards; one that is a text holds none or one, which is never weighed."""
    is_one = isinstance(field.get_default(), str)
    most = 1 if is_one else next(rule.max_length for rule in field.metadata if hasattr(rule, "max_length"))
    component = gr.HTML(
        value={"rows": rows_of(field.get_default()), "offers": []},
        html_template=fragment(
            "train_rewards",
            name=name,
            title=TITLES.get(name, name.replace("_", " ").capitalize()),
            help=HELP[is_one],
            most=most,
            sorts=SORTS,
            scales=SCALES,
        ),
        js_on_load="wb.rewards(element, props, watch)",
        apply_default_css=False,
        elem_id=f"field-{name}",
        elem_classes="wb-host",
    )
    return Control(name, component, _show, _read_one if is_one else _read, is_advanced=False)


HELP = {
    False: "What counts, and how much: the weighted sum is what the model learns to raise.",
    True: "Only watched: it shows when the model tricks those that it learns from. Best is one of another kind.",
}


def with_offers(shown: Any, offers: Sequence[RewardOffer]) -> Any:
    """What the component shows, with the models that are there now; the rows stay where none are given."""
    rows = shown.get("rows") if isinstance(shown, dict) and "rows" in shown else None
    return {"offers": [asdict(one) for one in offers]} | ({"rows": rows} if rows is not None else {})


def rows_of(texts: str | Sequence[str]) -> list[Row]:
    """Rewards as rows of the editor."""
    return [_row(text) for text in ([texts] if isinstance(texts, str) else texts) if text.strip()]


def written(row: Mapping[str, Any]) -> str:
    """A row as it is written in a Spec."""
    sort, argument, label, scale, weight = (str(row.get(name) or "").strip() for name in NAMES)
    parts = [argument] if sort != Sort.LEXICON else []
    if sort == Sort.MODEL:
        parts += [f"label={label}"] if label else []
        parts += [f"scale={scale}"] if scale not in ("", Scale.LOG_ODDS) else []
    text = f"{sort}:{','.join(parts)}" if parts else sort
    return text if weight in ("", "1") else f"{text}*{weight}"


NAMES = ("sort", "argument", "label", "scale", "weight")


def _show(texts: Any) -> dict[str, Any]:
    return {"rows": rows_of(texts or ())}


def _read(held: Any) -> list[str]:
    rows = held.get("rows") if isinstance(held, dict) else None
    rows = rows if isinstance(rows, list) else []
    return [written(row) for row in rows if isinstance(row, dict)]


def _read_one(held: Any) -> str:
    return next(iter(_read(held)), "")


def _row(text: str) -> Row:
    try:
        return _fields(parse_reward(text))
    except WorkbenchError:  # a link of somebody's own: it stands there to be mended
        return _fields(Reward(Sort.MODEL, text[:500]))


def _fields(one: Reward) -> Row:
    return {
        "sort": str(one.sort),
        "argument": one.argument,
        "label": one.label,
        "scale": str(one.scale),
        "weight": f"{one.weight:g}",
    }
