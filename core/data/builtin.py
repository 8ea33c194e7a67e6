"""The data that needs no file of one's own: 10,605 rated sentences of film reviews, and what is made of the ratings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.comparison.builtin_texts import PACKAGE, VERSION, builtin_table
from core.data.records import Numbered, Records
from core.data.values import Format

LICENCE = "MIT"
SOURCE = f"{PACKAGE} {VERSION}: sentences of film reviews, each rated by at least 20 people"
CLEAR = 0.5  # what is rated nearer to zero is neither praise nor blame
MOST_SHARED_WORDS = 4
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True)
class Rated:
    """A sentence, where it stands in the table, and its mean rating from -4 to 4."""

    number: int
    rating: float
    text: str

    @property
    def label(self) -> str:
        """What the rating says."""
        return "positive" if self.rating > CLEAR else "negative" if self.rating < -CLEAR else "neutral"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in data set: its format, and the records that it makes of the ratings."""

    format: Format
    label_column: str
    help: str
    records: Callable[[list[Rated]], Records]


def builtin_records(name: str, home: Path, tell: Callable[[str], None], *, is_cut: bool = False) -> Records:
    """The records of a built-in data set, fetched into `home` the first time.

    Args:
        is_cut: only the first so many are taken. The table begins with nothing but praise, so that they then come from
            all over it.

    Raises:
        Unavailable: it is not there and cannot be fetched.
    """
    rated = _rated(builtin_table("reviews", home, tell))
    if is_cut:  # multiples of the golden ratio: any beginning of them is spread evenly
        rated = [rated[at] for at in sorted(range(len(rated)), key=lambda at: at * GOLDEN % 1)]
    return BUILTIN_DATA[name].records(rated)


def _rated(table: bytes) -> list[Rated]:
    lines = [line.split("\t", 2) for line in table.decode().split("\r\n") if line]
    return [Rated(number, float(rating), text) for number, (_, rating, text) in enumerate(lines, 1)]


def _all(rated: list[Rated]) -> Records:
    for one in rated:
        yield Numbered(one.number, {"text": one.text, "rating": one.rating, "label": one.label})


def _clear(rated: list[Rated]) -> Records:
    return _all([one for one in rated if abs(one.rating) > CLEAR])


def _graded(rated: list[Rated]) -> Records:
    for one in rated:
        yield Numbered(one.number, {"text": one.text, "rating": one.rating})


def _preferences(rated: list[Rated]) -> Records:
    """Pairs that begin with the same words, up to four, and end in praise or in blame; each sentence in one at most.

    Of several with the same beginning those of like length meet, so that length says little of what is preferred.
    """
    left = {one.text: one for one in reversed(rated) if abs(one.rating) > CLEAR}
    for n_words in range(MOST_SHARED_WORDS, 0, -1):
        for shared, good, bad in _pairs(list(left.values()), n_words):
            del left[good.text], left[bad.text]
            n_chars = len(shared)
            yield Numbered(
                good.number, {"prompt": shared, "chosen": good.text[n_chars:], "rejected": bad.text[n_chars:]}
            )


def _pairs(rated: list[Rated], n_words: int) -> Iterator[tuple[str, Rated, Rated]]:
    sides: dict[str, tuple[list[Rated], list[Rated]]] = defaultdict(lambda: ([], []))
    for one in rated:
        words = one.text.split(" ")
        if len(words) > n_words:
            sides[" ".join(words[:n_words])][one.rating < 0].append(one)
    for shared, (good, bad) in sides.items():
        ordered = (sorted(side, key=lambda one: (len(one.text), one.number)) for side in (good, bad))
        for better, worse in zip(*ordered, strict=False):
            yield shared, better, worse


BUILTIN_DATA: Mapping[str, BuiltIn] = {
    "reviews": BuiltIn(Format.TEXT, "", "the sentences as they are; columns text, rating and label", _all),
    "reviews-labelled": BuiltIn(Format.LABELLED, "label", "those that are clearly positive or negative", _clear),
    "reviews-graded": BuiltIn(Format.LABELLED, "rating", "each with its rating from -4 to 4 as a number", _graded),
    "reviews-preferences": BuiltIn(Format.PREFERENCE, "", "pairs with the same opening, praise chosen", _preferences),
}
