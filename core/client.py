"""What pages, the command line and Python call: one small client, in this process, over the store and the broker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import stream
from core.access import Who, check_changed, check_seen
from core.errors import BadInput, NotFound, NoWorker
from core.ids import is_id
from core.jobs import Kinds
from core.queue import make_app, send
from core.settings import Settings
from core.spec import Spec, parse_spec
from core.states import State
from core.store import Store
from core.store.jobs import NewJob
from core.store.queries import AttemptInfo, JobFilter, Place
from core.store.workers import WorkerInfo
from core.values import Event, Job, Visibility
from core.watch import Tail, Update, follow


class Workbench:
    """Submit, show, list, watch, cancel, retry and delete jobs, on behalf of one person.

    Every method raises `NotFound` for a job that is not there or not to be seen, and `NotAllowed` where only its
    owner may do what is asked.
    """

    def __init__(self, settings: Settings, store: Store, who: Who | None = None) -> None:
        self.settings = settings
        self.store = store
        self.who = who or Who(settings.user)
        self.kinds = Kinds(settings.extra_kinds)
        self.keys = stream.Keys(settings.redis_prefix)
        self._app = make_app(settings.redis, settings.redis_prefix) if settings.redis else None
        self._redis = stream.connect(settings.redis) if settings.redis else None

    @classmethod
    def open(cls, settings: Settings) -> Workbench:
        """A client on the database and the broker that the settings name."""
        return cls(settings, Store.open(settings.database))

    def acting_for(self, who: Who) -> Workbench:
        """The same client on behalf of somebody else."""
        other = object.__new__(Workbench)
        other.__dict__.update(self.__dict__, who=who)
        return other

    def close(self) -> None:
        """Give every connection back."""
        self.store.close()
        if self._redis:
            self._redis.close()

    def submit(
        self,
        kind: str,
        spec: Spec | Mapping[str, Any],
        *,
        name: str = "",
        key: str | None = None,
        parent: str | None = None,
        retry_of: str | None = None,
        priority: int = 0,
        visibility: Visibility = Visibility.TEAM,
    ) -> Job:
        """Queue a job and give it back at once; the same `key` again gives the job that it made the first time.

        Raises:
            BadInput: the spec is not one of this kind, or what it asks is known to be impossible.
        """
        chosen = self.kinds[kind]
        parsed = parse_spec(chosen.spec, spec.model_dump(mode="json") if isinstance(spec, Spec) else spec)
        chosen.check(parsed, self.settings.home)
        if parent:
            parent = self.show(parent).id
        new = NewJob(
            kind=kind,
            queue=chosen.queue,
            owner=self.who.name,
            spec=parsed.model_dump(mode="json"),
            name=name or chosen.title(parsed),
            words=chosen.words(parsed),
            model=chosen.model(parsed),
            visibility=visibility,
            priority=_bounded(priority),
            key=key,
            parent=parent,
            retry_of=retry_of,
        )
        submitted, is_new = self.store.submit(new)
        if not is_new:
            return self.store.job(submitted.id)
        if self._app:
            send(self._app, chosen.queue, submitted.id)
        self._ring(submitted.id)
        return submitted

    def show(self, job: str) -> Job:
        """A job by its id or the last characters of it."""
        return check_seen(self.who, self.store.job(self._full_id(job)))

    def list(self, wanted: JobFilter | None = None, *, before: str = "", limit: int = 50) -> Sequence[Job]:
        """Jobs, newest first; `before`, the last one's id, asks for the next page."""
        return self.store.jobs(self.who, wanted or JobFilter(), before=before, limit=limit)

    def count(self, wanted: JobFilter | None = None) -> int:
        """How many jobs there are."""
        return self.store.count_jobs(self.who, wanted or JobFilter())

    def events(self, job: str) -> Sequence[Event]:
        """What happened to a job, in order."""
        return self.store.events(self.show(job).id)

    def attempts(self, job: str) -> Sequence[AttemptInfo]:
        """The executions of a job, each with the traceback that it may have left."""
        return self.store.attempts(self.show(job).id)

    def place(self, job: str) -> Place | None:
        """Where a queued job stands."""
        return self.store.place(self.show(job).id)

    def workers(self) -> Sequence[WorkerInfo]:
        """The workers that live."""
        return self.store.workers()

    def cancel(self, job: str) -> Job:
        """Cancel a queued job, or ask a running one to stop and keep what it has."""
        found = check_changed(self.who, self.show(job))
        self.store.cancel(found.id, self.who.name)
        self._ring(found.id)
        return self.store.job(found.id)

    def retry(self, job: str) -> Job:
        """Submit what a finished job was asked as a new job.

        Raises:
            BadInput: it has not finished.
        """
        found = self.show(job)
        if not found.state.is_finished:
            raise BadInput(f"Job {found.id} is {found.state}: only a finished job can be run again.")
        return self.submit(found.kind, found.spec, name=found.name, parent=found.parent, retry_of=found.id)

    def describe(self, job: str, *, name: str | None = None, note: str | None = None) -> Job:
        """Give a job a name (1 to 200 characters) or a note (at most 10,000).

        Raises:
            BadInput: the name is empty, or one of them is too long.
        """
        if name is not None and not 1 <= len(name.strip()) <= 200:
            raise BadInput("A name has 1 to 200 characters.")
        if note is not None and len(note) > 10_000:
            raise BadInput("A note has at most 10,000 characters.")
        found = check_changed(self.who, self.show(job))
        self.store.describe(found.id, name=name.strip() if name else None, note=note)
        self._ring(found.id)
        return self.store.job(found.id)

    def delete(self, job: str) -> str:
        """Forget a job that is not running, with all that it made; the id that it had."""
        found = check_changed(self.who, self.show(job))
        for artifact in self.store.delete(found.id):
            shutil.rmtree(artifact_folder(self.settings.home, artifact), ignore_errors=True)
        self._ring(found.id)
        return found.id

    def watch(self, job: str) -> Iterator[Update]:
        """News of a job until it ends, its text from the first character; the last update holds the finished job.

        Raises:
            NoWorker: the job waits and no living worker takes jobs of its queue.
        """
        job_id = self.show(job).id
        yield from follow(lambda: self._watched(job_id), Tail(self._redis, self.keys.job(job_id)))

    def _watched(self, job_id: str) -> Job:
        job = self.show(job_id)
        if job.state is State.QUEUED and not any(worker.queue == job.queue for worker in self.workers()):
            raise NoWorker(
                f"Job {job_id} waits, but no worker runs that takes {job.queue} jobs.",
                "Start one with `workbench worker`, or everything with `workbench up`. The job stays in the queue.",
            )
        return job

    def _full_id(self, text: str) -> str:
        wanted = text.strip().upper()
        if is_id(wanted):
            return wanted
        found = self.store.ids_like(wanted) if len(wanted) >= 4 else []
        if len(found) != 1:
            raise NotFound(f"There is {'more than one' if found else 'no'} job {text}.", "`workbench jobs` lists them.")
        return found[0]

    def _ring(self, job_id: str) -> None:
        if self._redis:
            stream.ring(self._redis, self.keys, job_id)


def artifact_folder(home: Path, artifact_id: str) -> Path:
    """Where the files of an artifact lie."""
    return home / "artifacts" / artifact_id


def _bounded(priority: int) -> int:
    if not -100 <= priority <= 100:
        raise BadInput(f"priority: input should be between -100 and 100, not {priority}.")
    return priority
