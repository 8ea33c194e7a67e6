"""What answers are like as texts: how much they repeat themselves and each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

SHORTEST = 4
WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """Its words in lower case."""
    return WORD.findall(text.lower())


def n_distinct_words(texts: Iterable[str]) -> int:
    """How many different words all of them have."""
    return len({word for text in texts for word in words_of(text)})


def distinct_pairs(texts: Iterable[str]) -> float:
    """The share of different pairs of neighbouring words among all such pairs; 1 where there is none.

    Source: Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models" (distinct-2).
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for text in texts:
        words = words_of(text)
        pairs.update(pairwise(words))
    return len(pairs) / pairs.total() if pairs else 1.0


def most_shared(texts: Sequence[str]) -> tuple[str, float]:
    """The word of at least four letters that most texts hold, and the share of texts that do; "" where none does."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({word for word in words_of(text) if len(word) >= SHORTEST})
    if not counts:
        return "", 0.0
    word, n = min(counts.items(), key=lambda one: (-one[1], one[0]))
    return word, n / len(texts)
