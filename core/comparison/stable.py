"""The living processes of a comparison: as many variants in memory as fit, the longest unused let go for the next.

Never two together unless both fit, by what was predicted and what each process itself takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.comparison.prospects import Prospect
from core.comparison.subject import Subject
from core.values import Progress


class Stable:
    """Subjects by variant.

    Args:
        usable_bytes: what all of them may take together.
        framework_bytes: what each takes beside its model, as far as that is known; 0 where it is not, and then only
            one lives until it is.
    """

    def __init__(
        self,
        home: Path,
        trusted_code: str,
        usable_bytes: int,
        framework_bytes: int,
        should_stop: Callable[[], bool],
        tell: Callable[[Progress], None],
    ) -> None:
        self._home = home
        self._trusted_code = trusted_code
        self._usable_bytes = usable_bytes
        self._framework_bytes = framework_bytes
        self._should_stop = should_stop
        self._tell = tell
        self._alive: dict[str, tuple[Subject, Prospect]] = {}
        self._next: Subject | None = None

    def prepare(self) -> None:
        """Have the process of the next variant import its libraries, seconds of work, while another is measured."""
        if self._next is None or not self._next.is_alive:
            self._next = Subject(self._should_stop, self._tell)

    def get(self, prospect: Prospect, beside: Sequence[str] = ()) -> tuple[Subject, dict[str, Any] | None]:
        """The variant's process, and what its load told where it had to be loaded now.

        Args:
            beside: names of those that must stay.

        Raises:
            SubjectTrouble: it cannot be loaded.
            SubjectStopped: asked to stop meanwhile.
        """
        if prospect.name in self._alive:
            self._alive[prospect.name] = self._alive.pop(prospect.name)  # used last
            return self._alive[prospect.name][0], None
        self._make_room(prospect, beside)
        self.prepare()
        subject, self._next = self._next, None
        assert subject
        try:
            told = subject.load(self._home, prospect.variant, self._trusted_code)
        except BaseException:
            subject.close()
            raise
        # of the first alone: where a container hides whose memory is whose, later ones would count their neighbours'
        self._framework_bytes = self._framework_bytes or int(told.get("framework_bytes") or 0)
        self._alive[prospect.name] = subject, prospect
        return subject, told

    def fit_together(self, prospects: Sequence[Prospect]) -> bool:
        """Whether these can be in memory at the same time, each with what it keeps of its peak for the next repeat."""
        needed = [self._of_process(one.peak_bytes) for one in prospects]
        return all(needed) and sum(needed) <= self._usable_bytes

    def is_alive(self, name: str) -> bool:
        """Whether a variant's process can still answer."""
        return name in self._alive and self._alive[name][0].is_alive

    def let_go(self, name: str) -> None:
        """End a variant's process."""
        if name in self._alive:
            self._alive.pop(name)[0].close()

    def close(self) -> None:
        """End all of them."""
        for name in list(self._alive):
            self.let_go(name)
        if self._next:
            self._next.close()

    def _of_process(self, n_bytes: int) -> int:
        """With what each process takes beside its model; 0 where one of both is not known."""
        return n_bytes + self._framework_bytes if n_bytes and self._framework_bytes else 0

    def _make_room(self, prospect: Prospect, beside: Sequence[str]) -> None:
        """Whoever is alive holds its model; what works there gave back the rest, unless it stays beside this one."""
        needed = self._of_process(prospect.peak_bytes)
        for name in [name for name in self._alive if name not in beside]:
            others = [
                self._of_process(one.peak_bytes if one.name in beside else one.held_bytes)
                for _, one in self._alive.values()
            ]
            if needed and all(others) and sum(others) + needed <= self._usable_bytes:
                return
            self.let_go(name)
