"""“Recommend for my card”: a card, a context and what matters, answered by the rule that stands below the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import urlencode

from markupsafe import Markup

from core.client import Workbench
from core.comparison.judge import RULES, Goal, find, measured, recommend
from core.comparison.values import Comparison, VariantResult
from core.diff import comparison_of
from core.errors import BadInput
from core.memory.cards import KNOWN_CARDS
from core.values import Job
from core.variant import Dtype
from web.format import written
from web.templates import fragment

HERE = "here"
MOST_CONTEXT = 2**24
GOALS = {Goal.QUALITY: "least loss", Goal.MEMORY: "least memory", Goal.SPEED: "most speed"}


def render_advice(comparison: Comparison) -> str:
    """The form with its first answer; nothing before there is a choice."""
    if not any(one.peak_bytes.measured for one in measured(comparison)):
        return ""
    cards = {one.name: f"{one.name}, {written(one.usable_bytes, 'bytes')} usable" for one in KNOWN_CARDS}
    here = {HERE: f"{comparison.device or 'this one'}, {written(comparison.usable_bytes, 'bytes')} usable here"}
    contexts = sorted({each.context for one in measured(comparison) for each in one.prefill})
    first = _answer(comparison, comparison.usable_bytes, None, Goal.QUALITY)
    return fragment(
        "compare_advice",
        cards=here | cards,
        contexts=contexts,
        goals=GOALS,
        answer=Markup(first),  # noqa: S704 - a fragment of our own
    )


def render_recommended(job: Job) -> str:
    """The first answer alone: what to take on the device that ran it; nothing before there is a choice."""
    found = comparison_of(job)
    if found is None or not any(one.peak_bytes.measured for one in measured(found)):
        return ""
    answer = _answer(found, found.usable_bytes, None, Goal.QUALITY)
    return fragment("compare_recommended", answer=Markup(answer))  # noqa: S704 - a fragment of our own


def advise(client: Workbench, job_id: str, asked: Mapping[str, Any]) -> str:
    """The answer as a fragment.

    Raises:
        NotFound: there is no such job.
        BadInput: there is no such card or goal, or the context is no length.
    """
    job = client.show(job_id)
    if job.kind != "compare" or job.result is None:
        raise BadInput("Only a comparison that has measured something can recommend.")
    comparison = Comparison.model_validate(job.result)
    return _answer(comparison, _usable(comparison, asked), _context(asked), _goal(asked))


def _answer(comparison: Comparison, usable_bytes: int, context: int | None, goal: Goal) -> str:
    has_quality = any(one.kl_mean is not None for one in measured(comparison))
    found = recommend(comparison, usable_bytes, context, goal) if has_quality or goal is not Goal.QUALITY else None
    chosen = find(comparison, found.variant) if found else None
    return fragment(
        "compare_advised",
        found=found,
        rule=found.rule if found else RULES[goal],
        usable=written(usable_bytes, "bytes"),
        has_quality=has_quality,
        link=_link(chosen) if chosen else "",
        smallest=_smallest(comparison),
    )


def _link(one: VariantResult) -> str:
    dtype = one.precision if one.precision in get_args(Dtype) else ""
    words = {"model": one.model, "adapter": one.adapter or "", "dtype": dtype}
    return f"/?{urlencode({name: word for name, word in words.items() if word})}"


def _smallest(comparison: Comparison) -> str:
    peaks = [(one.peak_bytes.measured, one.name) for one in measured(comparison) if one.peak_bytes.measured]
    return f"{min(peaks)[1]} peaks at {written(min(peaks)[0], 'bytes')}" if peaks else ""


def _usable(comparison: Comparison, asked: Mapping[str, Any]) -> int:
    name = str(asked.get("card") or HERE)[:80]
    if name == HERE:
        return comparison.usable_bytes
    found = [one.usable_bytes for one in KNOWN_CARDS if one.name == name]
    if not found:
        raise BadInput(f"There is no card {name!r} in the list.")
    return found[0]


def _context(asked: Mapping[str, Any]) -> int | None:
    text = str(asked.get("context") or "").replace(",", "").strip()[:20]
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MOST_CONTEXT:
        raise BadInput(f"A context is a whole number of tokens from 1 to {MOST_CONTEXT:,}, not {text!r}.")
    return int(text)


def _goal(asked: Mapping[str, Any]) -> Goal:
    word = str(asked.get("goal") or Goal.QUALITY)[:20]
    if word not in list(Goal):
        raise BadInput(f"There is no goal {word!r}. There are: {', '.join(Goal)}.")
    return Goal(word)
