"""Reinforcement learning on a terminal: what answers were like before and after, and what was sounded."""

from __future__ import annotations

from collections.abc import Iterator

from core.cli_format import table
from core.cli_train import ResultPrinter
from core.format import percent, significant
from core.training.rlhf_headline import rlhf_headline
from core.training.rlhf_values import RlhfResult, Standing

MOST_CHARS = 100
JUDGED = "positive, as judged"


def _learned(found: RlhfResult, indent: int) -> Iterator[str]:
    yield found.text or rlhf_headline(found)
    if found.before and found.after:
        rows = [(name, _at(found.before, name), _at(found.after, name)) for name in _names(found.after)]
        yield table(("ANSWERS TO HELD-OUT PROMPTS", "BEFORE", "AFTER"), rows, ("BEFORE", "AFTER"), indent)
        said = list(zip(found.prompts, found.before.said, found.after.said, strict=False))[:3]
        shown = [tuple(" ".join(text.split())[:MOST_CHARS] for text in row) for row in said]
        yield table(("PROMPT", "BEFORE", "AFTER"), shown, (), indent)
    if judge := found.judge:
        yield f"Judged by words, learned from {judge.n_rows:,} held-out rows of {judge.data}: right in " + (
            f"{percent(judge.accuracy.value)} ({percent(judge.accuracy.low)} to {percent(judge.accuracy.high)})."
        )
    for alarm in found.alarms:
        yield f"! step {alarm.step:,}: {alarm.message}"
    yield from found.notes


def _sounded(before: RlhfResult | None, now: RlhfResult) -> Iterator[str]:
    for alarm in now.alarms[len(before.alarms) if before else 0 :]:
        yield f"! step {alarm.step:,}: {alarm.message}"


def _names(found: Standing) -> tuple[str, ...]:
    judged = (JUDGED,) if found.positive else ()
    return (*judged, "reward", *found.rewards, "different word pairs", "different words", "tokens", "ended by itself")


def _at(found: Standing, name: str) -> str:
    if name == JUDGED and found.positive:
        one = found.positive
        return f"{percent(one.value)} ({percent(one.low)} to {percent(one.high)})"
    if name in found.rewards:
        return significant(found.rewards[name])
    return {
        "reward": significant(found.reward),
        "different word pairs": percent(found.distinct),
        "different words": f"{found.words:,}",
        "tokens": significant(found.mean_tokens),
        "ended by itself": percent(found.ended),
    }[name]


RLHF = ResultPrinter(RlhfResult, _learned, _sounded)
