"""The form of a training: a few fields at once, all others folded away by what they are about.

Which are asked at once is said by `web.train_kinds`, what a field is by its Spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gradio as gr

from core.client import Workbench
from core.data.builtin import BUILTIN_DATA
from web import forms, offers, train_rewards
from web.forms import Control
from web.offers import Offer
from web.rewards_here import reward_offers
from web.train_kinds import TrainKind

REWARDS = ("rewards", "held_out_reward")


def controls(kind: TrainKind, below: Mapping[str, Callable[[], object]]) -> list[Control]:
    """The controls; call it inside a Blocks context. `below` makes what stands below a field."""

    def made(names: Iterable[str]) -> list[Control]:
        return [_made(kind, name, below) for name in names]

    found = made(kind.basics)
    for title, names in kind.groups():
        with gr.Accordion(f"Advanced: {title[0].lower()}{title[1:]}", open=False, elem_classes="wb-fold"):
            found += made(names)
    return found


def built_in() -> list[Offer]:
    """The data that is there without a file."""
    return [(f"{name} · {one.help}", name) for name, one in BUILTIN_DATA.items()]


def data_offers(client: Workbench) -> list[Offer]:
    """What may be chosen as data: uploads, the newest first, and what is built in."""
    return [*((f"{one.name} · uploaded", one.id) for one in client.uploads()), *built_in()]


def filled(
    kind: TrainKind, form: Sequence[Control], client: Workbench, spec: Mapping[str, Any], why: Mapping[str, str]
) -> list[Any]:
    """What each component shows for a spec; fields that it lacks keep what they have."""
    data = data_offers(client)
    known = {
        "model": offers.models(client),
        "data": data,
        "judge_data": data,
        "adapter": offers.adapters(client, str(spec.get("model") or kind.spec.model_fields["model"].default)),
    }
    found = forms.offered(form, known, why, spec)
    if not any(control.name in REWARDS for control in form):
        return found
    models = reward_offers(client)
    return [
        train_rewards.with_offers(shown, models) if control.name in REWARDS else shown
        for control, shown in zip(form, found, strict=True)
    ]


def _made(kind: TrainKind, name: str, below: Mapping[str, Callable[[], object]]) -> Control:
    field = kind.spec.model_fields[name]
    first: Mapping[str, Sequence[Offer]] = {
        "model": [offers.BUILTIN],
        "data": built_in(),
        "judge_data": built_in(),
        "adapter": [],
    }
    if name in REWARDS:
        found = train_rewards.control(name, field)
    else:
        found = forms.control(name, field, first.get(name), has_slider=False)
    if only := next((option for option, names in kind.only.items() if name in names), ""):
        found.component.elem_classes = [*(found.component.elem_classes or ()), f"only-{only}"]
    below.get(name, lambda: None)()
    return found
