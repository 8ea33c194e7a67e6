"""Where a worker's models lie: a home on a host. All workers of one place see the same files and report them alike."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path

from core.catalog.listing import Catalogue
from core.store import Store
from core.values import ModelInfo

LOOK_AGAIN_S = 30.0


def place_of(home: Path) -> str:
    """The name of a place, at most 100 characters."""
    return f"{platform.node()}:{home}"[-100:]


class Shelf:
    """The models of one place, as they were reported last.

    Args:
        changed: hears that models have come or gone.
    """

    def __init__(self, store: Store, home: Path, changed: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._home = home
        self._catalogue = Catalogue(home)
        self._changed = changed
        self._reported: list[ModelInfo] | None = None
        self._lock = threading.Lock()

    def report(self) -> None:
        """Look for models, and write what is there where it is not what was written last.

        Raises:
            Unavailable: the database does not answer.
        """
        with self._lock:
            found = self._catalogue.models()
            if found == self._reported:
                return
            self._store.report_models(place_of(self._home), found)
            self._reported = found
        self._changed()

    def keep_reporting(self, trouble: Callable[[Exception], None]) -> None:
        """Look again now and then, for ever: a folder may be copied in by hand."""
        while True:
            time.sleep(LOOK_AGAIN_S)
            try:
                self.report()
            except Exception as error:  # whatever lies there must not end the thread
                trouble(error)
