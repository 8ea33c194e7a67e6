"""How far a merge is: a step for each model that is asked, and one for the writing."""

from __future__ import annotations

from collections.abc import Callable

from core.llm.merge_check import GateStopped
from core.values import Progress

LOADING, SCORING = 0.3, 0.6  # of a step


class Steps:
    """Says it to `report`; ends a load by `GateStopped` where that is asked for."""

    def __init__(self, report: Callable[[Progress], None], should_stop: Callable[[], bool]) -> None:
        self._report, self._should_stop = report, should_stop
        self.n_steps = 4
        self._done, self._said = -1, ""

    def begin(self, what: str) -> None:
        """The next step."""
        self._done += 1
        self.say(what)

    def say(self, message: str) -> None:
        """What is going on."""
        self._said = message
        self._tell(0.0, "")

    def hear_load(self, read: int, total: int) -> None:
        """Bytes of a model that is being loaded."""
        if self._should_stop():
            raise GateStopped
        self._tell(LOADING * read / total, f": loading, {read / 1e6:,.0f} of {total / 1e6:,.0f} MB")

    def hear_windows(self, done: int, total: int) -> None:
        """Windows of the text that are scored."""
        self._tell(LOADING + SCORING * done / total, f": window {done:,} of {total:,}")

    def hear_bytes(self, progress: Progress) -> None:
        """Bytes of the merged model that are written."""
        total = progress.total or 1
        self._tell(progress.current / total, f": {progress.current / 1e6:,.0f} of {total / 1e6:,.0f} MB")

    def _tell(self, share: float, further: str) -> None:
        current = max(self._done, 0) + min(share, 0.99)
        self._report(Progress(current=current, total=self.n_steps, message=self._said + further))
