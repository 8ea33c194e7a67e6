"""The models that this process keeps resident: loaded once, shared by every job that asks for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.catalog import BUILTIN_NAME, ModelSource, builtin_is_ready, resolve

if TYPE_CHECKING:
    from core.llm.engine import Engine
    from core.llm.measure import PeakMeter

MAX_RESIDENT = 2


@dataclass
class _Resident:
    engine: Engine
    used_at: float
    n_borrowed: int = 0


class Pool:
    """Engines by model. At most `MAX_RESIDENT` stay; the one that was idle longest goes first."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._resident: dict[str, _Resident] = {}
        self._loading = threading.Lock()  # two jobs must not load the same model
        self._counting = threading.Lock()  # never held for long: whoever only counts must not wait for a load
        self._meter: PeakMeter | None = None

    def borrow(self, model: str, say: Callable[[str], None]) -> Engine:
        """The engine of a model, which stays until it is given back; `say` hears what takes time.

        Raises:
            ModelError: there is no such model, or it cannot be loaded.
            OutOfMemory: it is too large for this device.
        """
        with self._loading:
            source = self._source(model, say)
            name = str(source.folder)
            if name not in self._resident:
                self._make_room()
                say(f"loading {model}")
                self._resident[name] = _Resident(_load(source), time.monotonic())
            found = self._resident[name]
            found.used_at = time.monotonic()
            with self._counting:
                found.n_borrowed += 1
            return found.engine

    def give_back(self, engine: Engine) -> None:
        """The engine is no longer needed by whoever borrowed it."""
        with self._counting:
            for resident in list(self._resident.values()):
                if resident.engine is engine:
                    resident.n_borrowed -= 1

    @property
    def meter(self) -> PeakMeter:
        """The peak-memory meter of this process."""
        from core.llm.measure import PeakMeter

        with self._counting:
            if self._meter is None:
                self._meter = PeakMeter()
            return self._meter

    def names(self) -> list[str]:
        """The names of the resident models. Never waits for one that loads."""
        return [resident.engine.loaded.source.name for resident in list(self._resident.values())]

    def close(self) -> None:
        """Let every model go."""
        for resident in list(self._resident.values()):
            resident.engine.close()
        self._resident.clear()

    def _source(self, model: str, say: Callable[[str], None]) -> ModelSource:
        if model == BUILTIN_NAME and not builtin_is_ready(self._home):
            from core.llm.unpack import unpack_builtin

            unpack_builtin(self._home, lambda _, message: say(message))
        return resolve(model, self._home)

    def _make_room(self) -> None:
        while len(self._resident) >= MAX_RESIDENT:
            idle = [name for name, resident in self._resident.items() if not resident.n_borrowed]
            if not idle:
                return
            oldest = min(idle, key=lambda name: self._resident[name].used_at)
            self._resident.pop(oldest).engine.close()


def _load(source: ModelSource) -> Engine:
    from core.llm.engine import Engine
    from core.llm.loading import load

    return Engine(load(source))
