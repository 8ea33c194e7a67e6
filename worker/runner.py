"""What happens when the doorbell rings: claim the best job and see it through, here or in a process of its own."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from core.errors import Fenced, WorkbenchError
from core.jobs import Kinds
from core.jobs.kind import Machine, Queue
from core.pipelining import Pipelining
from core.settings import Settings
from core.states import State
from core.store import Store
from core.store.claims import Claim, Kept
from core.tether import tethered_env
from core.values import Trouble
from worker.context import RunContext
from worker.desk import Desk
from worker.execute import execute
from worker.hold import GIVEN_BACK, YIELD_SIGNAL, Hold, StopReason
from worker.keeper import Keeper
from worker.leavings import clear_up
from worker.models import Models
from worker.publisher import Publisher

LOG = logging.getLogger(__name__)
DRAIN_GRACE_S = 5.0  # the whole workbench stops within ten seconds


class Runner:
    """Takes jobs of one queue."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        desk: Desk,
        models: Models,
        store: Store,
        keeper: Keeper,
        publisher: Publisher,
        machine: Callable[[str], Machine],
        pipelining: Pipelining,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._desk = desk
        self._models = models
        self._store = store
        self._keeper = keeper
        self._publisher = publisher
        self._machine = machine
        self._pipelining = pipelining
        self._kinds = Kinds(settings.extra_kinds)

    def take(self) -> bool:
        """Claim the best job that waits and run it to its end; whether there was one."""
        if self._keeper.is_draining:
            return False
        taken = self._desk.take()
        if taken is None:
            return False
        claim, never = taken
        LOG.info("job %s, attempt %s: %s of %s", claim.job_id, claim.attempt, claim.kind, claim.owner)
        self._publisher.ring(claim.job_id)
        self._go_on(claim)
        try:
            with self._keeper.holding(claim) as hold:
                self._run(hold, never)
        finally:
            self._models.pool.give_back(claim.job_id)
            clear_up(self._settings.home, self._store, claim.job_id)
            self._go_on(claim)
        self._publisher.ring(claim.job_id, is_over=True)
        return True

    def _go_on(self, claim: Claim) -> None:
        """Tell the pipeline that a step of it has begun or ended. What fails here, the sweep does."""
        if not claim.pipeline_id:
            return
        try:
            self._pipelining.advance(claim.pipeline_id)
        except WorkbenchError as error:
            LOG.warning("pipeline %s: %s", claim.pipeline_id, error.message)

    def _run(self, hold: Hold, never: Trouble | None) -> None:
        if never:
            self._store.fail(*hold.key, never, Kept())
        elif self._queue is Queue.BATCH:
            self._run_child(hold)
        else:
            context = RunContext(hold, self._store, self._publisher, self._models, self._settings, self._machine)
            execute(hold, self._kinds, context, self._store)

    def _run_child(self, hold: Hold) -> None:
        """Run the job in a fresh process group, stop it when asked, and reap it whatever happens."""
        child = subprocess.Popen(
            [sys.executable, "-m", "worker.child", hold.claim.job_id, str(hold.claim.attempt)],
            start_new_session=True,
            env=tethered_env(),
        )
        try:
            self._see_through(child, hold)
        finally:
            _kill_group(child, signal.SIGKILL)  # whatever the child started goes with it
            child.wait()
        self._account_for(hold, child.returncode)

    def _see_through(self, child: subprocess.Popen[bytes], hold: Hold) -> None:
        while child.poll() is None and not hold.wait(0.1):
            pass
        if child.poll() is not None or hold.reason is StopReason.LOST:
            return
        if hold.reason is StopReason.YIELD:
            child.send_signal(YIELD_SIGNAL)
        else:
            _kill_group(child, signal.SIGTERM)
        grace_s = DRAIN_GRACE_S if self._keeper.is_draining else self._settings.cancel_grace_s
        end = time.monotonic() + grace_s
        while child.poll() is None and time.monotonic() < end:
            time.sleep(0.05)

    def _account_for(self, hold: Hold, returncode: int) -> None:
        """A child that ended as it should has written how; for one that was killed or died we write it."""
        job_id, attempt = hold.key
        try:
            if not self._store.pulse([hold.key])[job_id].is_mine:
                return
            match hold.reason:
                case StopReason.CANCEL:
                    self._store.finish(job_id, attempt, State.CANCELLED, None, Kept())
                case StopReason.PAUSE | StopReason.YIELD | StopReason.DRAIN as reason:
                    self._store.give_back(job_id, attempt, GIVEN_BACK[reason])
                case _:
                    LOG.warning("job %s, attempt %s: its process ended with %s", job_id, attempt, returncode)
                    self._store.declare_lost(job_id, attempt, self._settings.max_attempts)
        except Fenced as fenced:
            LOG.warning("%s", fenced)


def _kill_group(child: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    try:
        os.killpg(child.pid, signum)
    except ProcessLookupError:
        return
