"""How far a download is, how fast it goes, and when it will end."""

from __future__ import annotations

import time
from collections import deque

from core.values import Progress

WINDOW_S = 5.0  # long enough to be steady, short enough to notice a change


class Pace:
    """Counts bytes. `n_fetched` is what came over the network; what was here already only moves the bar."""

    def __init__(self) -> None:
        self.n_fetched = 0
        self._here = self._total = self._n_files = self._nth = 0
        self._file = ""
        self._lately: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def plan(self, total_bytes: int, n_files: int) -> None:
        """All that is to be here in the end."""
        self._total, self._n_files = total_bytes, n_files

    def begin(self, file: str) -> None:
        """The next file's turn."""
        self._file, self._nth = file, self._nth + 1

    def count(self, n_bytes: int, is_new: bool) -> None:
        """Bytes that are here now; fewer than none where they are thrown away."""
        self._here += n_bytes
        if is_new:
            self.n_fetched += n_bytes
        now = time.monotonic()
        if now - self._lately[-1][0] > 0.2:
            self._lately.append((now, self.n_fetched))
        while len(self._lately) > 2 and now - self._lately[0][0] > WINDOW_S:
            self._lately.popleft()

    @property
    def bytes_per_s(self) -> float:
        """The speed of the last seconds; 0 as long as nobody can tell."""
        at, n_fetched = self._lately[0]
        elapsed = time.monotonic() - at
        return (self.n_fetched - n_fetched) / elapsed if elapsed > 0.2 else 0.0

    def progress(self) -> Progress:
        """The same for the page."""
        speed = self.bytes_per_s
        words = [f"{self._file} ({self._nth} of {self._n_files} files)"] + (
            [f"{speed / 1e6:.1f} MB/s"] if speed else []
        )
        return Progress(
            current=self._here,
            total=self._total,
            message=", ".join(words),
            eta_s=(self._total - self._here) / speed if speed else None,
        )
