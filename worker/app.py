"""One Celery process of a worker: `python -m worker interactive` or `python -m worker batch`."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable

from celery import Celery, signals

from core.cards import Card, read_card
from core.catalog import BUILTIN_NAME, builtin_is_ready
from core.errors import WorkbenchError
from core.ids import new_id
from core.jobs.kind import Queue
from core.migrate import wait_for_head
from core.queue import TASK, make_app
from core.settings import Settings
from core.store import Store
from core.store.workers import WorkerInfo
from core.stream import Keys, connect
from worker.keeper import Keeper
from worker.publisher import Publisher
from worker.runner import Runner
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
    sweep = Sweep(settings, store, app, connect(settings.redis), publisher.ring)
    keeper = Keeper(settings, store, lambda: _info(worker_id, queue, slots, card, runner), sweep)
    runner = Runner(settings, queue, worker_id, card.name, store, keeper, publisher)
    _register(app, runner)
    stop_listening = _listen(settings, queue, keeper, runner)
    try:
        app.worker_main(_arguments(settings, queue, slots, worker_id))
    finally:
        stop_listening()
        keeper.close()
        publisher.close()
        runner.pool.close()
        store.close()


def _info(worker_id: str, queue: Queue, slots: int, card: Card, runner: Runner) -> WorkerInfo:
    return WorkerInfo(
        id=worker_id,
        queue=queue,
        host=socket.gethostname(),
        pid=os.getpid(),
        device=card.name,
        memory_kind=card.memory_kind,
        memory_total=card.total_bytes,
        memory_free=read_card().free_bytes,
        slots=slots,
        resident=", ".join(runner.pool.names()),
    )


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


def _listen(settings: Settings, queue: Queue, keeper: Keeper, runner: Runner) -> Callable[[], None]:
    """React to Celery's own signals; the function given back stops that."""

    def ready(**_: object) -> None:
        keeper.start()
        if queue is Queue.INTERACTIVE and settings.preload and builtin_is_ready(settings.home):
            threading.Thread(target=_preload, args=(runner,), name="preload", daemon=True).start()

    def shutting_down(**_: object) -> None:
        keeper.drain(DRAIN_PATIENCE_S if queue is Queue.INTERACTIVE else 0)

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(shutting_down, weak=False)

    def stop() -> None:
        signals.worker_ready.disconnect(ready)
        signals.worker_shutting_down.disconnect(shutting_down)

    return stop


def _preload(runner: Runner) -> None:
    try:
        runner.pool.give_back(runner.pool.borrow(BUILTIN_NAME, LOG.info))
    except WorkbenchError as error:
        LOG.error("%s", error.message)


def _arguments(settings: Settings, queue: Queue, slots: int, worker_id: str) -> list[str]:
    """Threads, because solo acknowledges late and forks may not have children; nothing of Celery's own gossip."""
    return [
        "worker", "--pool", "threads", "--concurrency", str(slots), "--queues", queue,
        "--hostname", worker_id.replace("/", "-") + "@%h", "--loglevel", settings.log_level,
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip
