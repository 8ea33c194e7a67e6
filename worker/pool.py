"""The models that this process keeps in memory: loaded once, shared by every job that asks for them.

What may be loaded and what must go is decided in `worker.admission`; here it is done, and counted.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.catalog import builtin_is_ready
from core.memory.framework import keep_framework_bytes
from core.store.holdings import Holding
from core.values import Progress
from worker.appraisal import Appraisal
from worker.progress import reading

if TYPE_CHECKING:
    from core.llm.measure import PeakMeter
    from core.llm.resident import Resident

LISTEN_S = 0.2
LOG = logging.getLogger(__name__)
Say = Callable[[Progress], None]


@dataclass
class _Held:
    """One model that is in memory or on its way there."""

    appraisal: Appraisal
    n_bytes: int
    used_at: float
    resident: Resident | None = None
    users: dict[str, int] = field(default_factory=dict)
    """The jobs that need it now, each with the bytes that it needs beside the model."""
    is_pinned: bool = False
    is_release_requested: bool = False


class Pool:
    """Models by key, in one process on one card.

    Args:
        worker: the process's name among the workers.
        card: the card's name among the cards.
        for_children: what is reserved is loaded by children of this process, which count it no further.
    """

    def __init__(self, home: Path, worker: str, card: str, *, for_children: bool = False) -> None:
        self._home = home
        self._worker = worker
        self._card = card
        self._for_children = for_children
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()  # never held for long: whoever only counts must not wait for a load
        self._loading = threading.Lock()  # one at a time: what a load takes is measured while nothing else happens
        self._meter: PeakMeter | None = None
        self._gone: set[str] = set()

    def reserve(self, appraisal: Appraisal, job: str, work_bytes: int = 0) -> None:
        """Count a model, and what a job needs beside it, as taken from now on."""
        with self._lock:
            self._reserve(appraisal, job, work_bytes)

    def borrow(self, appraisal: Appraisal, job: str, say: Say) -> Resident:
        """The model, loaded first where need be; it stays until the job gives it back.

        Raises:
            ModelError: it cannot be loaded.
            OutOfMemory: it is too large for this device.
        """
        with self._lock:
            held = self._reserve(appraisal, job, 0)
        if held.resident is None:
            self._wait_for_its_turn(appraisal.variant.model, say)
            try:
                if held.resident is None:
                    self._bring(held, job, say)
            finally:
                self._loading.release()
        assert held.resident is not None
        return held.resident

    def _wait_for_its_turn(self, model: str, say: Say) -> None:
        while not self._loading.acquire(timeout=LISTEN_S):
            say(Progress(message=f"waiting to load {model}"))  # where the job is asked to end, this raises

    def give_back(self, job: str) -> None:
        """The job needs nothing any more. What it reserved and never loaded is free again."""
        with self._lock:
            for key, held in list(self._held.items()):
                if held.users.pop(job, None) is None:
                    continue
                held.used_at = time.time()
                if held.resident is None and not held.users:
                    del self._held[key]
            wished = [key for key, held in self._held.items() if held.is_release_requested]
        self.let_go(wished)

    def let_go(self, keys: Collection[str]) -> None:
        """Drop those of the models that nobody uses and that are not pinned."""
        with self._lock:
            gone = [key for key in keys if key in self._held and _is_idle(self._held[key])]
            dropped = [self._held.pop(key) for key in gone]
            self._gone.update(gone)
        for held in dropped:
            self._close(held)
        if dropped:
            del held
            dropped.clear()
            _release_memory()

    def pin(self, key: str) -> None:
        """Keep a model until somebody wishes otherwise."""
        with self._lock:
            if held := self._held.get(key):
                held.is_pinned = True

    def apply(self, wishes: Sequence[Holding]) -> None:
        """Pin and let go as others wish it."""
        for wish in wishes:
            if held := self._held.get(wish.key):
                held.is_pinned = wish.is_pinned
                held.is_release_requested = wish.is_release_requested
        self.let_go([wish.key for wish in wishes if wish.is_release_requested])

    def holdings(self) -> tuple[Holding, ...]:
        """What is held now."""
        with self._lock:
            return tuple(self._holding(key, held) for key, held in self._held.items())

    def take_gone(self) -> set[str]:
        """The keys that were let go since this was asked last."""
        with self._lock:
            gone, self._gone = self._gone, set()
            return gone

    def cached_bytes(self) -> int:
        """What this process keeps of its card for its next tensors: free for it, though the driver calls it taken."""
        if "torch" not in sys.modules or self._for_children:
            return 0
        import torch

        if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return 0
        return torch.cuda.memory_reserved() - torch.cuda.memory_allocated()

    @property
    def meter(self) -> PeakMeter:
        """The peak-memory meter of this process."""
        from core.llm.measure import PeakMeter

        with self._lock:
            if self._meter is None:
                self._meter = PeakMeter()
            return self._meter

    def close(self) -> None:
        """Let every model go, whoever uses it."""
        with self._lock:
            dropped, self._held = list(self._held.values()), {}
        for held in dropped:
            self._close(held)

    def _reserve(self, appraisal: Appraisal, job: str, work_bytes: int) -> _Held:
        held = self._held.get(appraisal.key)
        if held is not None and held.resident and held.resident.engine.is_closed:  # it died, and nobody can use it
            self._gone.add(appraisal.key)
            held = None
        if held is None:
            n_bytes = appraisal.needs.load_bytes if appraisal.needs else 0
            held = self._held[appraisal.key] = _Held(appraisal, n_bytes, time.time())
        held.users[job] = max(held.users.get(job, 0), work_bytes)
        held.used_at = time.time()
        return held

    def _bring(self, held: _Held, job: str, say: Say) -> None:
        say(Progress(message=f"loading {held.appraisal.variant.model}"))
        if held.appraisal.is_builtin and not builtin_is_ready(self._home):
            from core.llm.unpack import unpack_builtin

            unpack_builtin(self._home, lambda _, message: say(Progress(message=message)))
        try:
            resident = _load(held.appraisal, self.meter, say)
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold what was loaded so far
            _release_memory()
            raise
        with self._lock:
            # by its tensors: what a process on a CPU holds is known only roughly, and free memory is measured anyway
            held.resident, held.n_bytes = resident, resident.loaded.weights_bytes
        keep_framework_bytes(self._home, resident.loaded.device_name, resident.framework_bytes)
        LOG.info("loaded %s for job %s: %s bytes", held.appraisal.key, job, held.n_bytes)

    def _close(self, held: _Held) -> None:
        if held.resident:
            LOG.info("let go of %s", held.appraisal.key)
            held.resident.close()
            held.resident = None

    def _holding(self, key: str, held: _Held) -> Holding:
        loaded, choice = held.resident.loaded if held.resident else None, held.appraisal.choice
        return Holding(
            worker=self._worker,
            key=key,
            card=self._card,
            model=held.appraisal.variant.model,
            revision=held.appraisal.source.revision,
            precision=choice.precision,
            attention=loaded.attention if loaded else choice.attention,
            n_bytes=held.n_bytes,
            is_loading=held.resident is None and not self._for_children,
            users=tuple(held.users),
            used_at=held.used_at,
            work_bytes=sum(held.users.values()),
            is_pinned=held.is_pinned,
            is_release_requested=held.is_release_requested,
        )


def _is_idle(held: _Held) -> bool:
    return not held.users and held.resident is not None and not held.is_pinned


def _load(appraisal: Appraisal, meter: PeakMeter, say: Say) -> Resident:
    from core.llm.resident import load_resident

    tell = reading(appraisal.variant.model, say)
    return load_resident(
        appraisal.source, appraisal.choice, appraisal.needs, meter, tell, may_run_code=appraisal.may_run_code
    )


def _release_memory() -> None:
    from core.llm.resident import release_memory

    release_memory()
