"""One Celery process of a worker: `python -m worker interactive` or `python -m worker batch`."""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
from collections.abc import Callable
from functools import partial

from celery import Celery, signals

from core.abilities import Abilities
from core.cards import Card, read_card
from core.catalog import BUILTIN_NAME, builtin_is_ready
from core.errors import WorkbenchError
from core.ids import new_id
from core.jobs import Kinds
from core.jobs.kind import Queue
from core.migrate import wait_for_head
from core.pipelining import Pipelining
from core.queue import TASK, make_app, send
from core.settings import Settings
from core.store import Store
from core.store.workers import WorkerInfo
from core.stream import Keys, connect
from core.variant import Variant
from worker.appraisal import Appraiser
from worker.desk import Desk
from worker.keeper import Keeper
from worker.making_room import MakingRoom
from worker.models import Models
from worker.place import Shelf, place_of
from worker.pool import Pool
from worker.publisher import Publisher
from worker.runner import Runner
from worker.surroundings import Surroundings
from worker.sweep import Sweep

LOG = logging.getLogger(__name__)
DRAIN_PATIENCE_S = 3.0  # what is nearly done may finish; the rest goes back into the queue
HEAD_PATIENCE_S = 30.0


def serve(settings: Settings, queue: Queue) -> None:
    """Take jobs of one queue until a signal ends it.

    Raises:
        SetupError: the tables are of another revision.
        Unavailable: the database does not answer.
    """
    wait_for_head(settings.database, HEAD_PATIENCE_S)
    worker_id = f"{socket.gethostname()}/{queue}/{new_id()[-6:]}"
    card, slots = read_card(), settings.slots if queue is Queue.INTERACTIVE else 1
    store = Store.open(settings.database)
    keys = Keys(settings.redis_prefix)
    publisher = Publisher(settings.redis, keys)
    app = make_app(settings.redis, settings.redis_prefix)
    kinds = Kinds(settings.extra_kinds)
    pipelining = Pipelining(store, kinds, settings.home, partial(send, app), publisher.ring)
    sweep = Sweep(settings, store, app, connect(settings.redis), publisher.ring, pipelining)
    place = place_of(settings.home)
    around = Surroundings(store, worker_id, queue, card, settings.home, settings.memory_bytes, slots)
    pool = Pool(settings.home, worker_id, card.key, for_children=queue is Queue.BATCH)
    appraiser = Appraiser(settings, card.memory_kind, lambda: around.abilities)
    shelf = Shelf(store, settings.home, appraiser.forget)
    models = Models(
        appraiser,
        pool,
        shelf.report,
        lambda key: store.pin([one for one in around.look() if one.key == key], is_pinned=True),
        lambda: _tell(keeper),
    )
    info = partial(_info, worker_id, queue, slots, card, place, around, pool)
    room = MakingRoom(settings, store, models, around) if queue is Queue.BATCH and settings.yield_after_min else None
    keeper = Keeper(settings, store, info, sweep, pool, around, room.ask if room else None)
    wake = partial(send, app, queue)
    desk = Desk(settings, queue, worker_id, card.name, store, models, around, publisher.ring, wake, room)
    runner = Runner(settings, queue, desk, models, store, keeper, publisher, around.machine, pipelining)
    _register(app, runner)
    stop_listening = _listen(queue, keeper, lambda: _prepare(settings, shelf, models, around))
    try:
        app.worker_main(_arguments(settings, queue, slots, worker_id))
    finally:
        stop_listening()
        keeper.close()
        publisher.close()
        pool.close()
        store.close()


def _info(
    worker_id: str, queue: Queue, slots: int, card: Card, place: str, around: Surroundings, pool: Pool
) -> WorkerInfo:
    found = around.own_abilities
    return WorkerInfo(
        id=worker_id,
        queue=queue,
        host=socket.gethostname(),
        pid=os.getpid(),
        device=card.name,
        memory_kind=card.memory_kind,
        memory_total=around.budget_bytes,
        memory_free=max(around.memory(pool).free_bytes, 0),  # of what it may use, as the total is
        slots=slots,
        card=card.key,
        place=place,
        abilities=found.model_dump(mode="json") if found else None,
        is_drain_requested=around.is_drain_requested,  # where its row was swept away meanwhile
    )


def _tell(keeper: Keeper) -> None:
    """Say what is held. A database that is away hears it with the next pulse: no reason to end a job."""
    try:
        keeper.tell()
    except WorkbenchError as error:
        LOG.warning("%s", error.message)


def _register(app: Celery, runner: Runner) -> None:
    @app.task(name=TASK, shared=False, ignore_result=True)  # type: ignore[untyped-decorator]
    def run(hint: str) -> None:
        """The one task. `hint` is the job that rang; the claim chooses which one is run.

        A thread goes on while there is something to take: a message that was lost then costs nothing.
        """
        try:
            while runner.take():
                pass
        except WorkbenchError as error:  # a database that is away: the row waits, and the sweep rings again
            LOG.error("rung for %s: %s", hint, error.message)


def _listen(queue: Queue, keeper: Keeper, prepare: Callable[[], None]) -> Callable[[], None]:
    """React to Celery's own signals; the function given back stops that."""

    def ready(**_: object) -> None:
        keeper.start()
        if queue is Queue.INTERACTIVE:
            threading.Thread(target=prepare, name="prepare", daemon=True).start()

    def shutting_down(**_: object) -> None:
        keeper.drain(DRAIN_PATIENCE_S if queue is Queue.INTERACTIVE else 0)

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(shutting_down, weak=False)

    def stop() -> None:
        signals.worker_ready.disconnect(ready)
        signals.worker_shutting_down.disconnect(shutting_down)

    return stop


def _prepare(settings: Settings, shelf: Shelf, models: Models, around: Surroundings) -> None:
    """What a worker does beside its first jobs: say what it has and can, and load the model that comes with it."""
    try:
        around.found_out(_abilities())
        shelf.report()
        gc.freeze()  # the libraries stay: looking through them took a quarter of a second for each model that went
        if settings.preload and builtin_is_ready(settings.home):
            _preload(models, around)
    except Exception:  # whatever lies there or went wrong: jobs say so one by one, and the thread goes on
        LOG.exception("the worker works, but could not prepare")
    shelf.keep_reporting(lambda error: LOG.error("%s", error))


def _preload(models: Models, around: Surroundings) -> None:
    """Have the built-in model ready for the first question, where it leaves room for what else is asked."""
    needs = models.appraiser.appraise(Variant(BUILTIN_NAME)).needs
    if needs is None or needs.load_bytes > around.memory(models.pool).free_bytes:
        LOG.info("there is no room to load %s before it is asked for", BUILTIN_NAME)
        return
    try:
        models.resident(Variant(BUILTIN_NAME), "preload", lambda progress: LOG.debug("%s", progress.message))
    finally:
        models.pool.give_back("preload")


def _abilities() -> Abilities | None:
    from core.llm.abilities import abilities
    from core.llm.loading import first_device

    try:
        return abilities(first_device())
    except Exception:  # a driver in a bad state: jobs will say so one by one
        LOG.exception("what this card can run is not known")
        return None


def _arguments(settings: Settings, queue: Queue, slots: int, worker_id: str) -> list[str]:
    """Threads, because solo acknowledges late and forks may not have children; nothing of Celery's own gossip."""
    return [
        "worker", "--pool", "threads", "--concurrency", str(slots), "--queues", queue,
        "--hostname", worker_id.replace("/", "-") + "@%h", "--loglevel", settings.log_level,
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip
