"""Where a training gives way: it stops for interactive jobs that wait for its memory, and waits until they have run.

Who waits is found by the rule that admits them, seen from beside: nothing is kept, so a worker that starts anew knows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from core.jobs import Kinds
from core.jobs.kind import Queue
from core.settings import Settings
from core.store import Store
from core.store.waiting import Waiting
from worker.admission import Case, Memory, Wanted
from worker.appraisal import Appraisal, largest_that_fits
from worker.asked import Reader
from worker.hold import Hold, StopReason
from worker.models import Models
from worker.surroundings import Surroundings

LOG = logging.getLogger(__name__)


class MakingRoom:
    """A batch worker's view of the interactive jobs that wait for memory of its card."""

    def __init__(self, settings: Settings, store: Store, models: Models, around: Surroundings) -> None:
        self._after_s = 60 * settings.yield_after_min
        self._most_running = settings.most_running
        self._store = store
        self._pool = models.pool
        self._around = around
        self._kinds = Kinds(settings.extra_kinds)
        self._reader = Reader(store, self._kinds, models.appraiser)

    def ask(self, holds: Sequence[Hold]) -> None:
        """Ask each run that can go on later, and has had its time, to stop where somebody waits for its memory."""
        for hold in holds:
            has_had_its_time = self._after_s and time.monotonic() - hold.began_s >= self._after_s
            if has_had_its_time and self._kinds[hold.claim.kind].can_pause and (case := self._helped_by(hold)):
                LOG.info("job %s makes room for job %s", hold.claim.job_id, case.waiting.oldest)
                hold.stop(StopReason.YIELD)

    def why_wait(self) -> str:
        """Why what would have to make room is not begun now; "" where nobody waits for memory that comes free."""
        cases = self._cases(self._memory()) if self._after_s else ()
        first = next((case for case in cases if case.comes_free_by_itself), None)
        return f"Makes room for job {first.waiting.oldest[-6:]}, which waits for memory" if first else ""

    def _helped_by(self, hold: Hold) -> Case | None:
        """What waits now and would fit, were the memory of this job free."""
        memory = self._memory()
        freed = sum(one.n_bytes + one.work_bytes for one in memory.others if hold.claim.job_id in one.users)
        after = replace(memory, free_bytes=memory.free_bytes + freed)
        return next((case for case in self._cases(memory) if _is_short(case) and _fits(case, after)), None)

    def _memory(self) -> Memory:
        """The card as the interactive process sees it: its holdings are its own, those of this one another's."""
        memory = self._around.memory(self._pool)
        return Memory(memory.budget_bytes, memory.free_bytes, own=memory.others, others=memory.own)

    def _cases(self, memory: Memory) -> Iterator[Case]:
        """What was told why it waits, by a worker of this card."""
        if self._around.has_beside(Queue.INTERACTIVE):
            for one in self._store.waiting_keys(Queue.INTERACTIVE, self._most_running):
                if one.has_reason and (wanted := self._appraised(one, memory)):
                    yield Case(one, wanted, memory)

    def _appraised(self, one: Waiting, memory: Memory) -> Wanted | None:
        here = [each for each in self._reader.tried(one) if isinstance(each, Appraisal)]
        return largest_that_fits(here, one.most_tokens, memory.budget_bytes).wanted if here else None


def _is_short(case: Case) -> bool:
    return case.most_later < min(case.waiting.most_tokens, case.most_ever)


def _fits(case: Case, memory: Memory) -> bool:
    return not _is_short(replace(case, memory=memory))
