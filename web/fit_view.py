"""“Will it fit?” as fragments: the headline with its facts, and the tables of cards and of every figure's reckoning."""

from __future__ import annotations

from core.memory import Verdict
from core.memory.cache import kv_bytes_per_token
from core.memory.compare import smallest_card
from core.memory.formula import number
from core.memory.weights import rule_of_thumb
from web.charts import Chart
from web.fit_answer import Answer
from web.fit_chart import chart
from web.fit_words import headline, in_words, notes
from web.templates import fragment
from web.words import Chip

CHIPS = {
    Verdict.FITS: Chip("✓", "fits", "good"),
    Verdict.TIGHT: Chip("◒", "tight", "warn"),
    Verdict.EXCEEDS: Chip("✕", "exceeds", "bad"),
}


def render_said(found: Answer) -> str:
    """Headline, facts and notes."""
    wanted, table = found.wanted, found.wanted.model.table
    smallest = smallest_card(wanted, found.cards)
    return fragment(
        "fit_said",
        headline=headline(found),
        name=found.name,
        table=table,
        parameters=number(table.parameters),
        wanted=wanted,
        thumb=rule_of_thumb(table, wanted.work.precision),
        smallest=smallest.name if smallest else "none of these",
        kv=kv_bytes_per_token(table, wanted.work.precision.element_bytes),
        notes=notes(found),
        in_words=in_words,
    )


def render_cards(found: Answer) -> str:
    """Cards against precisions, and then how each figure came about."""
    return fragment(
        "fit_cards",
        found=found,
        chips=CHIPS,
        asked=found.wanted.work.precision,
        thumbs={one: rule_of_thumb(found.wanted.model.table, one) for one in found.in_each},
        in_words=in_words,
    )


def draw(found: Answer) -> Chart:
    """The same as a picture; the host's memory is no card to draw a line for."""
    return chart(found.in_each, [one for one in found.cards if not one.is_host], headline(found))
