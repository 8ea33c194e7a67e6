"""How a reward is written: `model:NAME,label=positive`, `length:20`, `words:good,great`, `lexicon`; `*0.5` weighs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from core.errors import BadInput


class Sort(StrEnum):
    """What a reward is made by."""

    MODEL = "model"
    """A sequence classifier, of which one label counts, or a reward model."""
    LENGTH = "length"
    """1 for an answer of so many words, less the further away it is."""
    WORDS = "words"
    """How many of some words an answer has."""
    LEXICON = "lexicon"
    """From -1 to 1: the ratings that people gave to its words."""


class Scale(StrEnum):
    """What of a classifier's output counts."""

    LOG_ODDS = "log-odds"
    """The logit of the label less what the others amount to: of two labels their difference."""
    LOGIT = "logit"
    PROBABILITY = "probability"


HELP = "model:NAME,label=positive (or ,scale=probability), length:20, words:good,great, or lexicon; *0.5 weighs it"
WAY_OUT = f"Write {HELP}."


@dataclass(frozen=True, slots=True)
class Reward:
    """One part of what is rewarded; with a weight of 0 it is only watched."""

    sort: Sort
    argument: str = ""
    label: str = ""
    scale: Scale = Scale.LOG_ODDS
    weight: float = 1.0
    nth: int = 1
    """Of several that would be called the same."""

    @property
    def name(self) -> str:
        """What its curve is called."""
        said = self.label or "model" if self.sort is Sort.MODEL else f"{self.sort} {self.argument}".strip()[:40]
        counted = said if self.nth == 1 else f"{said} {self.nth}"
        return counted if self.weight else f"held-out {counted}"

    @property
    def words(self) -> tuple[str, ...]:
        """Those that are counted, in lower case."""
        return tuple(one.strip().lower() for one in self.argument.split(",") if one.strip())


def parse_reward(text: str) -> Reward:
    """A reward as it is written.

    Raises:
        BadInput: it is none.
    """
    body, _, weight = text.strip().rpartition("*") if "*" in text else (text.strip(), "", "1")
    name, _, argument = body.strip().partition(":")
    if name not in set(Sort):
        raise BadInput(f"{text}: {name or 'nothing'} is no reward.", WAY_OUT)
    sort, argument = Sort(name), argument.strip()
    options: dict[str, str] = {}
    if sort is Sort.MODEL:
        argument, *rest = (part.strip() for part in argument.split(","))
        options = _options(text, rest)
    made = Reward(sort, argument, options.get("label", ""), _scale(text, options), _weight(text, weight))
    _check(text, made)
    return made


def parse_rewards(texts: tuple[str, ...]) -> tuple[Reward, ...]:
    """Several, each with a name of its own.

    Raises:
        BadInput: one is none.
    """
    found: list[Reward] = []
    for text in texts:
        one = parse_reward(text)
        alike = sum(replace(other, nth=1).name == one.name for other in found)
        found.append(replace(one, nth=1 + alike))
    return tuple(found)


def _options(text: str, parts: list[str]) -> dict[str, str]:
    found = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if name not in ("label", "scale") or not equals or not value:
            raise BadInput(f"{text}: {part or 'an empty part'} is neither label=… nor scale=….", WAY_OUT)
        found[name] = value
    return found


def _scale(text: str, options: dict[str, str]) -> Scale:
    asked = options.get("scale", Scale.LOG_ODDS)
    if asked not in set(Scale):
        raise BadInput(f"{text}: {asked} is no scale.", f"There are {', '.join(Scale)}.")
    return Scale(asked)


def _weight(text: str, weight: str) -> float:
    try:
        found = float(weight)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise BadInput(f"{text}: {weight} is no weight.", "Write a number, such as *0.5.")
    return found


def _check(text: str, made: Reward) -> None:
    if made.sort is Sort.MODEL and not made.argument:
        raise BadInput(f"{text}: which model?", "Write model: and a Hub name, a folder, or the id of a reward.")
    if made.sort is Sort.WORDS and not made.words:
        raise BadInput(f"{text}: which words?", "Write words:good or words:good,great.")
    if made.sort is Sort.LENGTH and not (made.argument.isdecimal() and 0 < int(made.argument) <= 100_000):
        raise BadInput(f"{text}: how many words?", "Write length:20.")
    if made.sort is Sort.LEXICON and made.argument:
        raise BadInput(f"{text}: lexicon takes nothing after a colon.", WAY_OUT)
