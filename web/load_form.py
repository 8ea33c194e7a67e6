"""The small form of the Models page that asks how a model is to be loaded, with what each precision would take."""

from __future__ import annotations

from typing import get_args

from markupsafe import Markup

from core.abilities import why_nowhere
from core.client import Workbench
from core.errors import BadInput
from core.jobs.load import LoadSpec
from core.memory import Precision
from core.store.models import FoundModel
from core.values import Origin, Role
from core.variant import AUTO, AttentionChoice, Dtype
from web import choices
from web.choices import Option
from web.fit_view import CHIPS
from web.format import written
from web.headlines import short
from web.models_look import model_ref
from web.models_view import Can
from web.needs_here import Need, Room, needs_here, precision_of, room
from web.templates import fragment


def render_form(client: Workbench, found: FoundModel, dtype: str = AUTO) -> str:
    """The form for one model."""
    info, where = found.info, room(client.workers())
    why = why_nowhere(client.abilities("interactive"))
    needs = needs_here(client, info, where) if where and info.role is Role.CAUSAL else {}
    why = why | {str(one): need.why_not for one, need in needs.items() if need.why_not and one not in why}
    fields = LoadSpec.model_fields
    precisions = [Option(one) if one in why else _option(one, needs, where) for one in get_args(Dtype)]
    chosen = dtype if dtype in get_args(Dtype) and dtype not in why else AUTO
    return fragment(
        "load_form",
        info=info,
        ref=model_ref(found),
        short=short,
        may_pin=client.who.is_administrator,
        facts=_facts(found, where),
        precisions=Markup(  # noqa: S704 - a fragment of our own, escaped when it was made
            choices.render(
                "load-dtype", "Precision", fields["dtype"].description or "", precisions, chosen, why, is_list=True
            )
        ),
        attentions=Markup(  # noqa: S704
            choices.render(
                "load-attention",
                "Attention",
                fields["attn_implementation"].description or "",
                [Option(one) for one in get_args(AttentionChoice)],
                AUTO,
                why,
            )
        ),
    )


def spec_of(found: FoundModel, dtype: str, attention: str, pin: bool) -> dict[str, object]:
    """The fields of the `load` job: an adapter is loaded over its base.

    Raises:
        BadInput: it is no model that can be loaded.
    """
    info = found.info
    if not Can.load(info):
        raise BadInput(f"{info.name} cannot be loaded: {info.problem or 'it is no causal language model.'}")
    revision = info.revision if info.origin is Origin.HUB and info.role is Role.CAUSAL else None
    which = {"model": info.base, "adapter": info.name} if info.role is Role.ADAPTER else {"model": info.name}
    return which | {"revision": revision, "dtype": dtype, "attn_implementation": attention, "pin": pin}


def _option(dtype: str, needs: dict[Precision, Need], where: Room | None) -> Option:
    precision = precision_of(dtype, where) if where else None
    need = needs.get(precision) if precision else None
    name = f"{precision} here" if dtype == AUTO and precision else ""
    if need is None:
        return Option(dtype, name)
    said = written(need.needs.load_bytes, "bytes")
    return Option(dtype, f"{name}, {said}" if name else said, CHIPS[need.fit.verdict])


def _facts(found: FoundModel, where: Room | None) -> list[str]:
    info = found.info
    facts = [f"adapter of {info.base}"] if info.role is Role.ADAPTER else []
    facts += [f"{written(info.n_bytes, 'bytes')} on disk", f"stored as {info.stored_as}" if info.stored_as else ""]
    if where:
        facts.append(f"{written(where.free_bytes, 'bytes')} free on {where.name}")
    return facts
