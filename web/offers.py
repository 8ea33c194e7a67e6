"""What a form with a model offers: the models and adapters that workers have, and what the chosen one would take."""

from __future__ import annotations

from collections.abc import Sequence

from core.abilities import why_nowhere
from core.catalog import BUILTIN_NAME, nearest
from core.catalog.names import did_you_mean, is_hub_name
from core.client import Workbench
from core.store.holdings import Holding
from core.store.models import FoundModel
from core.values import Origin, Role
from core.variant import AUTO
from web.choices import Why
from web.fit_view import CHIPS
from web.format import written
from web.headlines import short
from web.models_look import is_of
from web.needs_here import needs_here, precision_of, room
from web.templates import fragment

Offer = tuple[str, str]  # what it is called, and the value
BUILTIN: Offer = (f"{short(BUILTIN_NAME)} · built in", BUILTIN_NAME)


def models(client: Workbench) -> list[Offer]:
    """The causal models that workers have, what is in memory first; without a worker, the built-in one."""
    holdings, found = client.holdings(), dict[str, FoundModel]()
    for one in client.models():
        if one.info.role is Role.CAUSAL and not one.info.problem:
            found.setdefault(one.info.name, one)
    ordered = sorted(found.values(), key=lambda one: (not _held(one, holdings), one.info.name.lower()))
    return [(_title(one, _held(one, holdings)), one.info.name) for one in ordered] or [BUILTIN]


def adapters(client: Workbench, model: str) -> list[Offer]:
    """The adapters that were trained on a model."""
    usable = [one.info for one in client.models() if one.info.role is Role.ADAPTER and not one.info.problem]
    return [(short(info.name), info.name) for info in usable if info.base == model]


def is_of_another(client: Workbench, adapter: str, model: str) -> bool:
    """Whether an adapter is known to have been trained on another model."""
    return any(one.info.name == adapter and one.info.base not in ("", model) for one in client.models())


def why_not(client: Workbench) -> Why:
    """By option, why no worker that answers such questions can run it."""
    return why_nowhere(client.abilities("interactive"))


def render_needs(client: Workbench, model: str, dtype: str) -> str:
    """One small line on the chosen model: in memory, or what it needs of what is free, or that it is not here."""
    where, known = room(client.workers()), client.models()
    if where is None or not model:
        return ""
    found = [one for one in known if one.info.name == model]
    if not found and model == BUILTIN_NAME:
        return ""  # a worker that has just begun has not told of it yet, or unpacks it when it is asked
    if not found:
        near = did_you_mean(nearest(model, (one.info.name for one in known)))
        return fragment("needs", away="" if near or not is_hub_name(model) else model, said=near, chip=None)
    precision = precision_of(dtype or AUTO, where)
    free = f"{written(where.free_bytes, 'bytes')} free on {where.name}"
    if precision in {one.precision for one in _held(found[0], client.holdings())}:
        return fragment("needs", away="", said=f"In memory in {precision}; {free}.", chip=None)
    need = needs_here(client, found[0].info, where).get(precision) if precision else None
    if need is None or need.why_not:
        return fragment("needs", away="", said="", chip=None)
    said = f"Needs {written(need.needs.load_bytes, 'bytes')} in {precision}, {free}."
    return fragment("needs", away="", said=said, chip=CHIPS[need.fit.verdict])


def _held(found: FoundModel, holdings: Sequence[Holding]) -> list[Holding]:
    return [one for one in holdings if not one.is_loading and is_of(one, found)]


def _title(found: FoundModel, held: Sequence[Holding]) -> str:
    mark = " · in memory" if held else " · built in" if found.info.origin is Origin.BUILTIN else ""
    return short(found.info.name) + mark
