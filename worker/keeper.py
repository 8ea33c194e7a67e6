"""One thread a process that keeps its promises: leases, news of what to stop, and the sweep for everybody's losses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from core.errors import WorkbenchError
from core.settings import Settings
from core.store import Store
from core.store.claims import Claim
from core.store.holdings import Holding
from core.store.workers import WorkerInfo
from worker.hold import Hold, StopReason
from worker.pool import Pool
from worker.surroundings import Surroundings
from worker.sweep import Sweep

LOG = logging.getLogger(__name__)
PULSE_S = 0.25
TELL_S = 1.0


class Keeper:
    """Holds the claims of this process.

    Args:
        info: reads afresh what this worker is and has.
        sweep: looks for what was lost, here and elsewhere.
        pool: what this process holds of its card, which others are told of.
        around: what others hold and wish.
        make_room: asks those that are held to stop where others wait for their memory.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        info: Callable[[], WorkerInfo],
        sweep: Sweep,
        pool: Pool,
        around: Surroundings,
        make_room: Callable[[list[Hold]], None] | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._info = info
        self._sweep = sweep
        self._pool = pool
        self._around = around
        self._make_room = make_room
        self._told: tuple[Holding, ...] | None = None
        self._telling = threading.Lock()  # a job that has loaded a model tells of it too
        self._holds: dict[str, Hold] = {}
        self._drain_at: float | None = None
        self._due = {"renew": 0.0, "sweep": 0.0, "tell": 0.0, "make room": 0.0, "hear": 0.0}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)

    def start(self) -> None:
        """Report this worker and begin."""
        self._thread.start()

    @contextmanager
    def holding(self, claim: Claim) -> Iterator[Hold]:
        """The job is in our hands inside the `with` block: its lease is renewed, its cancellation heard."""
        hold = self._holds[claim.job_id] = Hold(claim)
        try:
            yield hold
        finally:
            del self._holds[claim.job_id]

    @property
    def is_draining(self) -> bool:
        """Whether this worker takes no more jobs."""
        return self._drain_at is not None

    def drain(self, patience_s: float) -> None:
        """Take no more jobs; what still runs after `patience_s` seconds is asked to let go."""
        self._drain_at = time.monotonic() + patience_s

    def close(self) -> None:
        """End the thread and take this worker's row away."""
        self._stopping.set()
        self._thread.join(timeout=2)
        try:
            self._store.retire_worker(self._around.worker)
        except WorkbenchError as error:
            LOG.warning("%s", error)

    def _work(self) -> None:
        while not self._stopping.wait(PULSE_S):
            try:
                self._tick()
            except WorkbenchError as error:
                LOG.warning("%s %s", error.message, error.hint)
                self._stopping.wait(1)
            except Exception:  # this thread must outlive whatever one tick meets
                LOG.exception("the keeper goes on")
                self._stopping.wait(1)

    def _tick(self) -> None:
        holds = list(self._holds.values())
        if self._drain_at is not None and time.monotonic() >= self._drain_at:
            for hold in holds:  # first: the database may be away
                hold.stop(StopReason.DRAIN)
        if holds:
            self._hear(holds)
        if self._is_due("hear", TELL_S):
            self._around.hear()
        if self._is_due("renew", self._settings.lease_s / 3):
            self._store.report_worker(self._info(), self._settings.lease_s)
            self._around.meet()
            self._told = None  # its row, and with it what it held, may have been swept away meanwhile
            if holds:
                self._store.renew([hold.key for hold in holds], self._settings.lease_s)
        self.tell()
        self._pool.apply(self._around.look())
        if self._make_room and holds and self._is_due("make room", TELL_S):
            self._make_room(holds)
        if self._is_due("sweep", self._settings.sweep_s):
            self._sweep.run()

    def tell(self) -> None:
        """Say what is held: at once where something came or went, else once a second."""
        with self._telling:
            held = self._pool.holdings()
            is_news = self._told is None or _keys(held) != _keys(self._told)
            if is_news or (held != self._told and self._is_due("tell", TELL_S)):
                self._store.report_holdings(self._around.worker, held, self._pool.take_gone())
                self._told = held

    def _hear(self, holds: list[Hold]) -> None:
        pulses = self._store.pulse(hold.key for hold in holds)
        for hold in holds:
            pulse = pulses[hold.claim.job_id]
            if not pulse.is_mine:
                # a job that has just ended looks lost too, but then nobody listens any more
                hold.stop(StopReason.LOST)
            elif pulse.is_cancel_requested:
                hold.stop(StopReason.CANCEL)
            elif pulse.is_pause_requested:
                hold.stop(StopReason.PAUSE)

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + every_s
        return True


def _keys(held: Iterable[Holding]) -> set[tuple[str, bool]]:
    return {(one.key, one.is_loading) for one in held}
