"""The sweep: jobs of dead workers go back, messages that were lost are rung again, files without a row go."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import redis
from celery import Celery

from core.errors import WorkbenchError
from core.jobs.kind import Queue
from core.pipelining import Pipelining
from core.queue import backlog, send
from core.settings import Settings
from core.store import Store
from worker.leavings import clear_up

LOG = logging.getLogger(__name__)
MAX_RINGS = 200
RUBBISH_AGE_S = 3600


class Sweep:
    """One pass over everybody's losses. Each step is a conditional update, so any number of workers may run it."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        app: Celery,
        client: redis.Redis,
        ring: Callable[[str], None],
        pipelining: Pipelining,
    ) -> None:
        self._settings = settings
        self._store = store
        self._app = app
        self._client = client
        self._ring = ring
        self._pipelining = pipelining
        self._rubbish_due = 0.0

    def run(self) -> None:
        """One pass."""
        for job_id in self._store.requeue_lost(self._settings.max_attempts):
            LOG.warning("job %s: its worker was lost", job_id)
            self._ring(job_id)
        self._pipelining.advance_stale()
        self._store.forget_dead_workers()
        self._ring_again()
        if self._settings.keep_h:
            self._forget_expired()
        if time.monotonic() >= self._rubbish_due:
            self._rubbish_due = time.monotonic() + RUBBISH_AGE_S / 6
            remove_rubbish(self._settings.home / "artifacts", self._store.artifact_ids())
            for folder in (self._settings.home / "scratch").glob("*"):
                clear_up(self._settings.home, self._store, folder.name)

    def _forget_expired(self) -> None:
        """Delete what strangers left long enough ago, files and all."""
        for job_id in self._store.expired(self._settings.keep_h * 3600):
            try:
                artifacts = self._store.delete(job_id)
            except WorkbenchError:  # another sweep was faster
                continue
            for artifact in artifacts:
                shutil.rmtree(self._settings.home / "artifacts" / artifact, ignore_errors=True)
            self._ring(job_id)

    def _ring_again(self) -> None:
        """As many messages as jobs wait must lie in the broker; a duplicate costs nothing."""
        for queue in Queue:
            waiting = self._store.waiting_ids(queue, MAX_RINGS)
            try:
                missing = waiting[backlog(self._client, self._settings.redis_prefix, queue) :] if waiting else []
            except redis.RedisError as error:
                LOG.warning("the broker does not answer: %s", error)
                return
            for job_id in missing:
                send(self._app, queue, job_id)


def remove_rubbish(artifacts: Path, known: set[str]) -> None:
    """Remove folders that belong to no artifact and have not been touched for an hour."""
    if not artifacts.is_dir():
        return
    for folder in artifacts.iterdir():
        if folder.name not in known and time.time() - folder.stat().st_mtime > RUBBISH_AGE_S:
            shutil.rmtree(folder, ignore_errors=True)
