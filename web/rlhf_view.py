"""Learning from rewards as fragments: alarms as they come, and what changed between before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.comparison.values import Interval
from core.format import MINUS, percent, significant
from core.training.rlhf_values import RlhfResult, Standing
from web.templates import fragment
from web.train_pictures import HELD_OUT


@dataclass(frozen=True)
class Shown:
    """A figure as it is written; `range` are the ends of its interval."""

    value: str
    range: str = ""


@dataclass(frozen=True)
class Line:
    """A row of the table: what was measured, before, after and what changed; `note` says how it was measured."""

    what: str
    before: Shown
    after: Shown
    change: str
    note: str = ""


@dataclass(frozen=True)
class Pair:
    """A prompt with two answers."""

    prompt: str
    before: str
    after: str


def render_parts(found: RlhfResult) -> dict[str, str]:
    """The fragments."""
    return {
        "train_alarms": fragment("train_alarms", found=found, steps=sorted({one.step for one in found.tries})),
        "train_standing": _standing(found),
    }


def _standing(found: RlhfResult) -> str:
    before, after = found.before, found.after
    if before is None or after is None:
        return ""
    said = zip(found.prompts, before.said, after.said, strict=False)
    return fragment(
        "train_standing",
        n=after.n,
        lines=list(lines(before, after)),
        judge=found.judge,
        is_beyond_chance=is_beyond_chance(before, after),
        pairs=[Pair(*each) for each in said],
        share=percent,
    )


def lines(before: Standing, after: Standing) -> Iterator[Line]:
    """The rows of the table."""
    if before.positive and after.positive:
        points = 100 * (after.positive.value - before.positive.value)
        yield Line(
            "Positive, as the judge sees it",
            _interval(before.positive),
            _interval(after.positive),
            f"{_signed(points)} points",
        )
    yield _number("Reward", before.reward, after.reward, "the weighted sum that it learned from")
    for name in after.rewards:
        if name in before.rewards and (len(after.rewards) > 1 or name.startswith(HELD_OUT)):
            is_held_out = name.startswith(HELD_OUT)
            title = name.removeprefix(HELD_OUT)
            note = "held out: only watched" if is_held_out else "a part of it"
            yield _number(title[0].upper() + title[1:], before.rewards[name], after.rewards[name], note)
    yield _share("Different word pairs", before.distinct, after.distinct, "of all neighbouring words in all answers")
    more = _signed(after.words - before.words, ",.0f")
    yield Line("Different words", Shown(f"{before.words:,}"), Shown(f"{after.words:,}"), more)
    yield _number("Tokens of an answer", before.mean_tokens, after.mean_tokens, "the mean")
    yield _share("Ended by themselves", before.ended, after.ended, "the others were cut off at the limit")


def is_beyond_chance(before: Standing, after: Standing) -> bool | None:
    """Whether the intervals of the judged shares lie apart; None where there is no judge."""
    if not (before.positive and after.positive):
        return None
    return after.positive.low > before.positive.high or after.positive.high < before.positive.low


def _interval(one: Interval) -> Shown:
    return Shown(percent(one.value, 0), f"{percent(one.low, 0)} to {percent(one.high, 0)}")


def _number(what: str, before: float, after: float, note: str = "") -> Line:
    return Line(what, _written(before), _written(after), _signed(after - before, ".3g"), note)


def _share(what: str, before: float, after: float, note: str = "") -> Line:
    points = f"{_signed(100 * (after - before))} points"
    return Line(what, Shown(percent(before, 0)), Shown(percent(after, 0)), points, note)


def _written(value: float) -> Shown:
    return Shown(significant(value).replace("-", MINUS))


def _signed(value: float, form: str = ".0f") -> str:
    written = f"{value:+{form}}"
    return written.replace("-", MINUS) if any(digit in written for digit in "123456789") else "0"
