"""Signs that a run learns to please its reward instead of people: rules over what is logged at each step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from statistics import fmean

from core.training.rlhf_values import Alarm

KL, HELD_OUT, REPEATS, ONE_WORD, LENGTH = "kl", "held-out reward", "repetition", "one word", "length"
N_STEPS = 3
"""Steps that make a beginning, and steps that make the present: one step alone says little."""
LEAST_DISTINCT = 0.6
"""Of the different pairs of words at the beginning, below which answers repeat themselves."""
MOST_ONE_WORD, MORE_ONE_WORD = 0.5, 0.25
"""The share of answers that hold the same word, and how much it must have grown."""
LENGTH_FACTOR = 2.0
SPREADS = 0.5
"""How many of its first standard deviations a reward must move to have moved."""


class Guards:
    """Looks at each step once.

    Args:
        max_kl: nats a token, above which a run has gone too far from its reference; 0 for no ceiling.
    """

    def __init__(self, max_kl: float) -> None:
        self._max_kl = max_kl
        self._first: list[Mapping[str, float]] = []
        self._last: deque[Mapping[str, float]] = deque(maxlen=N_STEPS)
        self.given: set[str] = set()
        """The signs that were told."""

    def look(self, step: int, figures: Mapping[str, float]) -> list[Alarm]:
        """What is new at this step: each sign is told once.

        Args:
            figures: `kl`, `reward`, `reward_std`, `held_out_reward`, `held_out_std`, `distinct`, `one_word` and
                `completion_length`, those that there are.
        """
        self._last.append(figures)
        if len(self._first) < N_STEPS:
            self._first.append(figures)
        found = [Alarm(step=step, sign=sign, message=words) for sign, words in self._signs() if sign not in self.given]
        self.given |= {one.sign for one in found}
        return found

    def _signs(self) -> Iterator[tuple[str, str]]:
        kl = self._now("kl")
        if self._max_kl and kl is not None and kl > self._max_kl:
            yield KL, f"The KL to the reference is {kl:.2f} nats a token, above its ceiling of {self._max_kl:g}."
        if len(self._last) < N_STEPS or len(self._first) < N_STEPS:
            return
        yield from self._against_each_other()
        began, now = self._began("distinct"), self._now("distinct")
        if began and now is not None and now < LEAST_DISTINCT * began:
            yield REPEATS, f"Answers repeat themselves: {now:.0%} of their word pairs differ, {began:.0%} at first."
        began, now = self._began("one_word"), self._now("one_word")
        if began is not None and now is not None and now > max(MOST_ONE_WORD, began + MORE_ONE_WORD):
            yield ONE_WORD, f"{now:.0%} of the answers hold the same word; at first {began:.0%} shared one."
        began, now = self._began("completion_length"), self._now("completion_length")
        if began and now is not None and not began / LENGTH_FACTOR <= now <= began * LENGTH_FACTOR:
            yield LENGTH, f"Answers are {now:.0f} tokens long, {began:.0f} at first."

    def _against_each_other(self) -> Iterator[tuple[str, str]]:
        """A reward that rises while another one, which is not trained on, falls."""
        rise, fall = self._moved("reward", "reward_std"), self._moved("held_out_reward", "held_out_std")
        if rise is not None and fall is not None and rise > SPREADS and fall < -SPREADS:
            now, began = self._now("held_out_reward"), self._began("held_out_reward")
            yield HELD_OUT, f"The reward rises while the held-out reward falls, {began:.2f} → {now:.2f}."

    def _moved(self, name: str, spread: str) -> float | None:
        """How far a figure is from its beginning, in standard deviations of then."""
        began, now, width = self._began(name), self._now(name), self._began(spread)
        return (now - began) / width if began is not None and now is not None and width else None

    def _began(self, name: str) -> float | None:
        return _mean(self._first, name)

    def _now(self, name: str) -> float | None:
        return _mean(self._last, name)


def _mean(steps: list[Mapping[str, float]] | deque[Mapping[str, float]], name: str) -> float | None:
    found = [one[name] for one in steps if name in one]
    return fmean(found) if found else None
