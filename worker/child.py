"""One batch job in a fresh process: `python -m worker.child JOB ATTEMPT`. The parent renews the lease."""

from __future__ import annotations

import logging
import queue
import signal
import sys
import threading

from core.cards import read_card
from core.errors import WorkbenchError
from core.jobs import Kinds
from core.jobs.kind import Queue
from core.libraries import prepare_libraries
from core.settings import Settings, read_settings
from core.store import Store
from core.store.claims import Claim
from core.stream import Keys
from core.tether import die_with_parent
from worker.appraisal import Appraiser
from worker.context import RunContext
from worker.execute import execute
from worker.hold import YIELD_SIGNAL, Hold, StopReason
from worker.models import Models
from worker.place import Shelf
from worker.pool import Pool
from worker.publisher import Publisher
from worker.surroundings import Surroundings

LOG = logging.getLogger(__name__)


def main(job_id: str, attempt: int) -> int:
    """Run the job under the attempt that the parent claimed; the exit code is 0 whatever became of the job."""
    die_with_parent()
    prepare_libraries()
    settings = read_settings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(message)s")
    store = Store.open(settings.database)
    job = store.job(job_id)
    hold = Hold(Claim(job_id, attempt, job.kind, job.owner, job.spec))
    _listen(hold, store)
    publisher = Publisher(settings.redis, Keys(settings.redis_prefix))
    around = _around(settings, store)
    context = RunContext(hold, store, publisher, _models(settings, store, around), settings, around.machine)
    execute(hold, Kinds(settings.extra_kinds), context, store)
    publisher.close()
    return 0


def _around(settings: Settings, store: Store) -> Surroundings:
    around = Surroundings(store, "", Queue.BATCH, read_card(), settings.home, settings.memory_bytes)
    around.meet()
    return around


def _models(settings: Settings, store: Store, around: Surroundings) -> Models:
    """What the parent admitted is loaded here without asking again."""
    card = read_card()
    appraiser = Appraiser(settings, card.memory_kind, lambda: around.abilities)
    return Models(appraiser, Pool(settings.home, "", card.key), Shelf(store, settings.home).report)


def _listen(hold: Hold, store: Store) -> None:
    """Let go when a signal asks: from a thread, because a handler may interrupt the very lock that it would need."""
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()  # its `put` may be called from a handler
    for signum in (signal.SIGTERM, YIELD_SIGNAL):
        signal.signal(signum, lambda signum, _frame: asked.put(signum))

    def let_go() -> None:
        given_back = StopReason.YIELD if asked.get() == YIELD_SIGNAL else StopReason.DRAIN
        hold.stop(StopReason.CANCEL if _is_cancelled(hold, store) else given_back)

    threading.Thread(target=let_go, name="let-go", daemon=True).start()


def _is_cancelled(hold: Hold, store: Store) -> bool:
    try:
        return store.pulse([hold.key])[hold.claim.job_id].is_cancel_requested
    except WorkbenchError:
        return False  # the database does not answer: a job that goes back is cancelled there


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
