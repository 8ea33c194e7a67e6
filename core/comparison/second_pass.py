"""The second pass of a comparison: speeds, in rounds, one repeat of each variant after the other.

A machine that grows slower meanwhile then slows all alike. Variants that are in memory together take turns within each
round, the first another one each time; those that do not fit together are measured one after another, and it says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.comparison.values import Interval, Repeated, VariantResult

Take = Callable[[str, str, int], float]
"""(variant, measure, size) → one repeat, in seconds or tokens a second."""
Ratio = Callable[[Sequence[float], Sequence[float]], Interval]
FIRST_TOKEN, DECODE = "first_token_s", "tokens_per_s"


@dataclass(frozen=True, slots=True)
class Group:
    """Variants that take turns; the reference is among them where it fits beside them."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """One repeat of one measure at one size, by each of these in turn."""

    what: str
    size: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Speeds:
    """Repeats by (variant, measure, size), and the ratio to the reference where both took turns."""

    repeated: Mapping[tuple[str, str, int], Repeated]
    ratios: Mapping[tuple[str, str, int], Interval]


def groups_of(names: Sequence[str], reference: str, fit: Callable[[Sequence[str]], bool]) -> tuple[Group, ...]:
    """All in one where they fit together, else pairs with the reference where both fit, else each alone."""
    if fit(names):
        return (Group(tuple(names)),)
    others = [name for name in names if name != reference]
    paired = [name for name in others if reference in names and fit((reference, name))]
    alone = [name for name in names if name not in paired and not (name == reference and paired)]
    return (*(Group((reference, name)) for name in paired), *(Group((name,)) for name in alone))


def order_in_words(groups: Sequence[Group], *, knows_bytes: bool = True) -> str:
    """How the speeds were taken; `knows_bytes`: it was memory that kept them apart."""
    if not groups:
        return ""
    if len(groups) == 1 and len(groups[0].names) > 1:
        return "interleaved: all variants were in memory together and took turns, one repeat each"
    pairs = [group.names[1] for group in groups if len(group.names) == 2]
    alone = [group.names[0] for group in groups if len(group.names) == 1]
    parts = [f"interleaved in pairs with the reference: {', '.join(pairs)}"] if pairs else []
    if alone:
        why = "" if len(alone) == 1 and not pairs else (
            ", for want of memory for more at once" if knows_bytes else ", since nobody knows their bytes beforehand"
        )  # fmt: skip
        parts.append(f"in turn: {', '.join(alone)}{why}")
    return "; ".join(parts)


def measure(rounds: Sequence[Round], repeats: int, reference: str, take: Take, ratio: Ratio) -> Speeds:
    """The repeats of a group; each of `repeats` takes all of `rounds` in their order."""
    taken: dict[tuple[str, str, int], list[float]] = {}
    for number in range(repeats):
        for one in rounds:
            for name in _turned(one.names, number):
                taken.setdefault((name, one.what, one.size), []).append(take(name, one.what, one.size))
    return Speeds({key: repeated(values) for key, values in taken.items()}, dict(_ratios(taken, reference, ratio)))


def with_speeds(one: VariantResult, speeds: Speeds) -> VariantResult:
    """A variant with the speeds that were taken of it; what an earlier pair gave stays where this one took nothing."""
    prefill = tuple(
        each.model_copy(
            update={
                "time_to_first_token_s": speeds.repeated.get(key, each.time_to_first_token_s),
                "ratio": speeds.ratios.get(key, each.ratio),
            }
        )
        for each in one.prefill
        for key in [(one.name, FIRST_TOKEN, each.context)]
    )
    decode = tuple(
        each.model_copy(
            update={
                "tokens_per_s": speeds.repeated.get(key, each.tokens_per_s),
                "ratio": speeds.ratios.get(key, each.ratio),
            }
        )
        for each in one.decode
        for key in [(one.name, DECODE, each.batch)]
    )
    smallest = next((each for each in decode if each.tokens_per_s), None)
    shortest = next((each.time_to_first_token_s for each in prefill if each.time_to_first_token_s), None)
    return one.model_copy(
        update={
            "prefill": prefill,
            "decode": decode,
            "tokens_per_s": smallest.tokens_per_s.value if smallest and smallest.tokens_per_s else None,
            "speed_ratio": smallest.ratio if smallest else None,
            "time_to_first_token_s": shortest.value if shortest else None,
        }
    )


def repeated(values: Sequence[float]) -> Repeated:
    """The mean of repeats and their standard deviation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return Repeated(value=statistics.fmean(values), spread=spread, n=len(values), values=tuple(values))


def _ratios(
    taken: Mapping[tuple[str, str, int], list[float]], reference: str, ratio: Ratio
) -> Iterator[tuple[tuple[str, str, int], Interval]]:
    for (name, what, size), values in taken.items():
        beside = taken.get((reference, what, size), ())
        if name != reference and min(len(values), len(beside)) > 1:  # of one pair nobody knows the spread
            yield (name, what, size), ratio(values, beside)


def _turned(names: Sequence[str], by: int) -> Sequence[str]:
    start = by % max(len(names), 1)
    return (*names[start:], *names[:start])
