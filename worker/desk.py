"""Where a worker takes its next job: what waits is held against the memory, and the best that fits is claimed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from core.errors import ModelNotFound, WorkbenchError
from core.jobs import Kinds
from core.jobs.kind import Machine, Queue
from core.memory.files import try_open_model
from core.settings import Settings
from core.store import Store
from core.store.claims import Claim
from core.store.waiting import Waiting
from core.values import Trouble
from core.variant import Variant
from worker.admission import Memory, Plan, plan
from worker.appraisal import Appraisal, largest_that_fits
from worker.asked import MOST_KEYS, Reader
from worker.making_room import MakingRoom
from worker.models import Models
from worker.surroundings import Surroundings

LOG = logging.getLogger(__name__)
FOR_NOW_S = 1e9
LOOK_S = 0.05
NOTHING = Memory(0, 0)


class Desk:
    """One worker's admission. A job that it takes has its memory reserved until it is given back."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        worker: str,
        device: str,
        store: Store,
        models: Models,
        around: Surroundings,
        ring: Callable[[str], None],
        wake: Callable[[str], object],
        room_for_others: MakingRoom | None = None,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._worker = worker
        self._device = device
        self._store = store
        self._pool = models.pool
        self._around = around
        self._ring = ring
        self._wake = wake
        self._room_for_others = room_for_others
        self._reader = Reader(store, Kinds(settings.extra_kinds), models.appraiser)
        self._peaks: dict[tuple[str, str], int] = {}
        self._waiting: Sequence[Waiting] = ()
        self._appraised: dict[str, Appraisal] = {}
        self._looked_s = float("-inf")
        self._is_fresh = False
        self._swapped_s = float("-inf")
        self._lock = threading.Lock()  # two threads must not give the same bytes to two jobs

    def take(self) -> tuple[Claim, Trouble | None] | None:
        """Claim the best job that fits; with it, why it can never run here, where that is so."""
        if self._around.is_drain_requested:  # else it would ask others to let models go for jobs that it may not claim
            return None
        with self._lock:
            made, claim = self._claim()
            if claim is None and not self._is_fresh:  # what has come since the last look may be taken at once
                self._looked_s = float("-inf")
                made, claim = self._claim()
            never = made.why_never(claim.load_key, claim.work_tokens) if claim else None
            if claim and not never:
                self._reserve(made, claim)
        try:
            self._tell(made)
        except WorkbenchError as error:  # the job is ours: what others are to be told can wait
            LOG.warning("%s", error.message)
        return (claim, never) if claim else None

    def _claim(self) -> tuple[Plan, Claim | None]:
        patience_s = self._patience_s()
        made = self._plan(self._look(), patience_s)
        terms = made.terms(patience_s)
        lease_s, most = self._settings.lease_s, self._settings.most_running
        return made, self._store.claim(self._queue, self._worker, lease_s, self._device, terms, most)

    def _look(self) -> Sequence[Waiting]:
        """What waits. Counting a long queue costs more than a claim, so one look serves several of them."""
        self._is_fresh = time.monotonic() - self._looked_s > LOOK_S
        if self._is_fresh:
            found = self._store.waiting_keys(self._queue, self._settings.most_running)
            self._waiting, self._looked_s = found, time.monotonic()
        return self._waiting

    def _patience_s(self) -> float:
        """How long a job waits behind those for the resident model, which has that time for itself once it is there.

        Else, with more waiting than that time suffices for, everybody would have waited too long, and the card would
        swap at every turn.
        """
        has_been_there_s = time.monotonic() - self._swapped_s
        return self._settings.resident_first_s if has_been_there_s >= self._settings.resident_first_s else FOR_NOW_S

    def _plan(self, waiting: Sequence[Waiting], patience_s: float) -> Plan:
        self._appraised, elsewhere = self._appraise(waiting)
        wanted = {key: known for key, one in self._appraised.items() if (known := one.wanted)}
        if wanted:
            resident = {held.key for held in self._pool.holdings()}
            if any(one.holding_key not in resident for one in wanted.values()):
                self._around.look()  # another process may have begun to load meanwhile
        memory = self._around.memory(self._pool) if wanted else NOTHING
        return plan(waiting, wanted, memory, patience_s, elsewhere, self._made_room(waiting))

    def _appraise(self, waiting: Sequence[Waiting]) -> tuple[dict[str, Appraisal], frozenset[str]]:
        """How the jobs of each key are loaded here, and the keys whose model another worker has and this one has not.

        A key that is in neither needs no model, or its jobs find out themselves what is wrong.
        """
        found, elsewhere = {}, set()
        for one in waiting:
            variants, tried = self._reader.variants(one), self._reader.tried(one)
            here = [each for each in tried if isinstance(each, Appraisal)]
            if here:
                room = self._room() if len(here) > 1 else 0
                largest = largest_that_fits(here, one.most_tokens, room)
                found[one.load_key] = self._as_it_works(one, largest)
            elif any(isinstance(each, ModelNotFound) for each in tried) and all(map(self._is_elsewhere, variants)):
                elsewhere.add(one.load_key)
        return found, frozenset(elsewhere)

    def _as_it_works(self, one: Waiting, appraisal: Appraisal) -> Appraisal:
        """With what the work itself takes, where that is no generating: a bound, so at most all that there is."""
        kind, spec = self._reader.asked(one)
        if kind is None or kind.peak is None or appraisal.needs is None:
            return appraisal
        machine = Machine(self._around.abilities, self._around.memory_kind, self._room(), self._settings.home)
        key = one.load_key, appraisal.key
        if key not in self._peaks:  # reckoned once: a plan is made at every look, and reads no files
            if len(self._peaks) > MOST_KEYS:
                self._peaks = {}
            model = try_open_model(appraisal.source.path)
            self._peaks[key] = kind.peak(spec, model, appraisal.choice, machine) if model else 0
        peak = min(self._peaks[key], machine.usable_bytes)
        needs = replace(
            appraisal.needs, request_bytes=max(peak - appraisal.needs.held_bytes, 0), token_bytes=0, context=0
        )
        return replace(appraisal, needs=needs) if peak else appraisal

    def _room(self) -> int:
        """What could be free here some time: other programs keep what they have, and so does what is pinned."""
        memory = self._around.memory(self._pool)
        return memory.free_bytes + sum(one.n_bytes + one.work_bytes for one in memory.everybodys if not one.is_pinned)

    def _is_elsewhere(self, variant: Variant) -> bool:
        return self._around.has_elsewhere(variant.model, variant.revision)

    def _made_room(self, waiting: Sequence[Waiting]) -> dict[str, str]:
        """By load key why jobs that would soon have to make room for others do not begin."""
        able = [one.load_key for one in waiting if (kind := self._reader.asked(one)[0]) and kind.can_pause]
        reason = self._room_for_others.why_wait() if self._room_for_others and able else ""
        return dict.fromkeys(able, reason) if reason else {}

    def _reserve(self, made: Plan, claim: Claim) -> None:
        case, appraisal = made.cases.get(claim.load_key), self._appraised.get(claim.load_key)
        if case is None or appraisal is None:
            return
        if gone := case.let_go(claim.work_tokens):
            self._swapped_s = time.monotonic()
            self._pool.let_go(gone)
        self._pool.reserve(appraisal, claim.job_id, case.wanted.needs.work_bytes(claim.work_tokens))

    def _tell(self, made: Plan) -> None:
        """Say to those who wait why, and wake those who need not wait any more."""
        self._store.request_release(made.ask)
        told = {load_key for load_key, _, _ in made.waits}
        for load_key, above, reason in made.waits:
            for job_id in self._store.explain(self._queue, load_key, reason, above_tokens=above):
                self._ring(job_id)
        for one in self._waiting:
            if one.has_reason and one.load_key not in told:
                for job_id in self._store.explain(self._queue, one.load_key, ""):
                    self._ring(job_id)
                    self._wake(job_id)
