"""How often somebody may ask: a bucket of so many requests, which fills again with time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_REMEMBERED = 20_000


class Pace:
    """The buckets of all who ask. Whoever has not been seen for long is forgotten, and begins with a full one."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def takes(self, subject: str) -> bool:
        """Whether there is one more request for them."""
        now = self._clock()
        left, at = self._buckets.pop(subject, (float(self._burst), now))
        left = min(left + (now - at) * self._per_s, float(self._burst))
        is_taken = left >= 1
        self._buckets[subject] = left - is_taken, now
        if len(self._buckets) > MOST_REMEMBERED:
            self._buckets.popitem(last=False)
        return is_taken
