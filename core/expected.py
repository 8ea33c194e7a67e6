"""When a waiting job is expected to start: the queue played through with how long such jobs took, by the turns.

An estimate and no promise: it knows places and turns, and of memory only who was told to wait for it. Where something
on the way was never measured, nothing is said.
"""

from __future__ import annotations

import heapq
import math
import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

UNKNOWN = math.inf
LOW, MIDDLE, HIGH = 0, 1, 2
Sort = tuple[str, str]
"""A kind and a load key: what takes about as long each time."""


@dataclass(frozen=True)
class Took:
    """How long runs took: `n` of them, their median and quartiles in seconds, and each."""

    runs_s: tuple[float, ...]

    @classmethod
    def of(cls, runs_s: Iterable[float]) -> Took:
        """Of at least one run."""
        return cls(tuple(sorted(runs_s)))

    @property
    def n(self) -> int:
        """How many runs."""
        return len(self.runs_s)

    @property
    def median_s(self) -> float:
        """As many took longer as took less."""
        return statistics.median(self.runs_s)

    def quartiles_s(self) -> tuple[float, float, float]:
        """A quarter took less than the first, a quarter longer than the last; the median is between."""
        if self.n == 1:
            return self.runs_s[0], self.runs_s[0], self.runs_s[0]
        low, middle, high = statistics.quantiles(self.runs_s, n=4, method="inclusive")
        return low, middle, high

    def left_s(self, since_s: float) -> float | None:
        """What one that runs since so long has still to do, from those that took longer; None where none has."""
        longer = [run - since_s for run in self.runs_s if run > since_s]
        return statistics.median(longer) if longer else None


@dataclass(frozen=True)
class Waiter:
    """A job that waits; `turn` is the number of the claim that last took one of its owner's."""

    id: str
    owner: str
    sort: Sort
    priority: int = 0
    turn: int = 0
    took: Took | None = None
    needs_others_memory: bool = False
    """Whether it was told that it waits until others let their memory go."""


@dataclass(frozen=True)
class Occupied:
    """A place that is taken: by whom, for how many seconds more, where that is known, and from how many runs."""

    owner: str
    sort: Sort
    left_s: float | None
    n_runs: int = 0
    is_given_back: bool = True
    """Whether somebody else gets the place: a worker that is being drained keeps it empty."""


@dataclass(frozen=True)
class Start:
    """When a job is expected to start, in seconds: about `in_s`, as `low_s` to `high_s` where others take less or more.

    All None where something on the way was never measured. `n_runs` is how many runs it is estimated from.
    """

    id: str
    in_s: float | None
    low_s: float | None = None
    high_s: float | None = None
    n_runs: int = 0


def expected_starts(
    waiting: Sequence[Waiter], occupied: Sequence[Occupied], n_places: int, most_running: int = 0, most: int = 100
) -> list[Start]:
    """The first `most` of those that wait, in the order in which they will be claimed were nothing else submitted.

    Args:
        n_places: how many jobs run at once; with 0 nobody knows when one starts.
        most_running: of one owner at once; 0: any number.
    """
    middle, low, high = (
        _Play(waiting, occupied, n_places, most_running, quartile).run(most) for quartile in (MIDDLE, LOW, HIGH)
    )
    earlier, later = ({one.id: one.at_s for one in play} for play in (low, high))
    return [_start(one, earlier.get(one.id, UNKNOWN), later.get(one.id, UNKNOWN)) for one in middle]


def median_error_s(said_and_waited: Sequence[tuple[float, float]]) -> float | None:
    """Seconds by which half of the sayings were off at most; None where nothing was said."""
    errors = [abs(waited - said) for said, waited in said_and_waited]
    return statistics.median(errors) if errors else None


@dataclass(frozen=True)
class _Began:
    id: str
    at_s: float
    n_runs: int


def _start(one: _Began, earlier_s: float, later_s: float) -> Start:
    if one.at_s == UNKNOWN:
        return Start(one.id, None)
    known = [each for each in (earlier_s, one.at_s, later_s) if each != UNKNOWN]
    return Start(one.id, one.at_s, min(known), max(known), one.n_runs)


class _Play:
    """The queue from now on, job by job. A place of which nobody knows when it comes free is free last, at UNKNOWN."""

    def __init__(
        self, waiting: Sequence[Waiter], occupied: Sequence[Occupied], n_places: int, most_running: int, quartile: int
    ) -> None:
        self._queues: dict[tuple[int, str], deque[Waiter]] = defaultdict(deque)
        for one in sorted(waiting, key=lambda each: each.id):
            self._queues[one.priority, one.owner].append(one)
        self._turns = {one.owner: one.turn for one in waiting}
        self._occupied = occupied
        self._running = Counter(one.owner for one in occupied)
        self._free = n_places - sum(one.is_given_back for one in occupied)
        self._most_running = most_running
        self._quartile = quartile
        self._now_s = 0.0
        self._n_runs: dict[Sort, int] = {}
        self._ends = [(_left(one), n, one) for n, one in enumerate(occupied)]
        heapq.heapify(self._ends)

    def run(self, most: int) -> list[_Began]:
        """The first of those that begin, in order."""
        began: list[_Began] = []
        while len(began) < most and any(self._queues.values()):
            one = self._next() if self._free > 0 else None
            if one:
                began.append(_Began(one.id, self._now_s, sum(self._n_runs.values())))
                self._begin(one)
            elif self._ends:
                self._end(*heapq.heappop(self._ends))
            elif self._now_s != UNKNOWN:  # there is no place at all, or only memory is waited for
                self._now_s, self._free = UNKNOWN, max(self._free, 1)
            else:
                break
        return began

    def _begin(self, one: Waiter) -> None:
        n_later = max(self._turns.values()) + 1
        self._turns[one.owner] = n_later
        self._running[one.owner] += 1
        self._free -= 1
        takes_s = one.took.quartiles_s()[self._quartile] if one.took else UNKNOWN
        place = Occupied(one.owner, one.sort, None, one.took.n if one.took else 0)
        heapq.heappush(self._ends, (self._now_s + takes_s, len(self._occupied) + n_later, place))

    def _end(self, at_s: float, _: int, place: Occupied) -> None:
        self._now_s = at_s
        self._running[place.owner] -= 1
        self._free += place.is_given_back
        self._n_runs[place.sort] = max(place.n_runs, self._n_runs.get(place.sort, 0))

    def _next(self) -> Waiter | None:
        """The one that is claimed next, of those that may run; taken from its queue."""
        firsts = [
            (-priority, self._turns[owner], one.id, one)
            for (priority, owner), queue in self._queues.items()
            if not self._most_running or self._running[owner] < self._most_running
            if (one := next((each for each in queue if self._has_memory(each)), None))
        ]
        if not firsts:
            return None
        one = min(firsts, key=lambda first: first[:3])[3]
        self._queues[one.priority, one.owner].remove(one)
        return one

    def _has_memory(self, one: Waiter) -> bool:
        """Who waits for others' memory has it, at the latest, once all that run now with another model have ended."""
        if not one.needs_others_memory or self._now_s == UNKNOWN:
            return True
        others = [_left(other) for other in self._occupied if other.sort[1] != one.sort[1]]
        return bool(others) and self._now_s >= max(others)


def _left(one: Occupied) -> float:
    return UNKNOWN if one.left_s is None else max(one.left_s, 0.0)
