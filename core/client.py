"""What pages, the command line and Python call: one small client, in this process, over the store and the broker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from core import stream
from core.abilities import Abilities
from core.access import Who, check_changed, may_see
from core.catalog import BUILTIN_NAME
from core.cleaning import deletable_bytes, delete_checkpoints
from core.data.uploads import Upload, Uploads
from core.errors import BadInput, IllegalMove, NotAllowed, NotFound, NoWorker, TooMany
from core.ids import is_id
from core.jobs import Kinds, pipeline
from core.modes import Mode
from core.overview import wait_words, why_nobody_takes
from core.pipelining.client import OnPipelines
from core.queue import make_app, send
from core.recording.take import About, entries_of, take
from core.recording.values import Recording
from core.settings import Settings
from core.spec import Spec
from core.states import State
from core.store import Store
from core.store.models import FoundModel
from core.store.queries import AttemptInfo, JobFilter, Place
from core.submitting import abilities
from core.tending import OnCards
from core.training.tensorboard import run_name, write_events
from core.values import ArtifactRef, Event, Job, Metric, Visibility
from core.watch import Tail, Update, follow


class Workbench(OnCards, OnPipelines):
    """Submit, show, list, watch, cancel, retry and delete jobs, on behalf of one person.

    Every method raises `NotFound` for a job that is not there or not to be seen, and `NotAllowed` where only its
    owner may do what is asked.
    """

    def __init__(self, settings: Settings, store: Store, who: Who | None = None) -> None:
        self.settings = settings
        self.store = store
        self.who = who or Who(settings.user, is_administrator=settings.mode is not Mode.TEAM)
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
        visibility: Visibility | None = None,
    ) -> Job:
        """Queue a job and give it back at once; the same `key` again gives the job that it made the first time.

        Raises:
            BadInput: the spec is not one of this kind, or what it asks is known to be impossible.
            NotFound: it reads an artifact that is not there, or not to be seen.
            NotAllowed: it may not be asked for here.
            TooMany: as many jobs as there may be are unfinished.
        """
        new = self._submitting.new_job(kind, spec, priority)
        if kind == pipeline.NAME:
            self.check_pipeline(new.spec)
        parent = self.show(parent).id if parent else None
        seen_by = self.policy.visibility if visibility is None or self._is_public else visibility
        new = replace(new, name=name or new.name, visibility=seen_by, source=self.who.source)
        new = replace(new, key=key, parent=parent, retry_of=retry_of)
        try:
            submitted, is_new = self.store.submit(new, self.policy.limits)
        except TooMany as error:
            waits = wait_words(self.store, self.settings, self.who)
            raise TooMany(error.message, f"{error.hint} {waits}") from None
        if not is_new:
            return self.store.job(submitted.id)
        if kind == pipeline.NAME:
            self._pipelining.advance(submitted.id)
            return self.store.job(submitted.id)
        self._wake(new.queue, submitted.id)
        self._ring(submitted.id)
        return submitted

    def show(self, job: str) -> Job:
        """A job by its id or the last characters of it."""
        found = [one for one in self._named(job) if may_see(self.who, one)]
        if len(found) != 1:
            raise NotFound(*_no_such(job, "more than one" if found else "no"))
        return found[0]

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

    def abilities(self, queue: str = "") -> Sequence[Abilities]:
        """What living workers can run, those that have said so; of one queue where it is named."""
        return abilities(self.store, queue)

    def models(self) -> Sequence[FoundModel]:
        """The models that lie where a living worker can load them."""
        found = self.store.models()
        if self.settings.only_builtin:
            return [one for one in found if one.info.name == BUILTIN_NAME]
        hidden = self.store.hidden_artifacts(self.who, (one.info.name for one in found))
        return [one for one in found if one.info.name not in hidden]

    def artifact(self, artifact_id: str) -> tuple[Job, ArtifactRef]:
        """An artifact with the job that made it.

        Raises:
            NotFound: there is none, or one may not see its job.
        """
        return self._submitting.artifact(artifact_id)

    def files(self, artifact: ArtifactRef) -> Mapping[str, Path]:
        """The files of an artifact by their names, as far as they lie on this machine; links are no files of it."""
        return files_of(artifact_folder(self.settings.home, artifact.id))

    def upload(self, source: Path | IO[bytes], name: str = "", *, is_private: bool | None = None) -> Upload:
        """Keep a file with rows; its id is what `data` of a job takes. The ending of `name` says what it is.

        Raises:
            NotAllowed: uploads are closed here.
            BadInput: it cannot be read, is empty, or is too large.
            DiskFull: the home has no room for it.
        """
        if not isinstance(source, Path):
            return self._keep(name, source, is_private)
        try:
            with source.open("rb") as file:
                return self._keep(name or source.name, file, is_private)
        except OSError as error:
            raise BadInput(f"{source} cannot be read: {error.strerror}.") from error

    def uploads(self) -> Sequence[Upload]:
        """The files with rows that were kept, newest first."""
        return [one for one in Uploads(self.settings.home).all() if one.may_be_seen_by(self.who)]

    def remove_upload(self, upload_id: str) -> Upload:
        """Forget a file with rows.

        Raises:
            NotFound: there is none of that id, or it is not to be seen.
            NotAllowed: it is somebody else's.
        """
        uploads = Uploads(self.settings.home)
        found = uploads.look(upload_id)
        if found is None or not found.may_be_seen_by(self.who):
            raise NotFound(f"There is no upload {upload_id[:64]}.", "`workbench data` lists those that there are.")
        if not found.may_be_changed_by(self.who):
            raise NotAllowed(f"Upload {found.id} belongs to {found.owner}: only its owner may delete it.")
        return uploads.remove(found.id)

    def _keep(self, name: str, file: IO[bytes], is_private: bool | None) -> Upload:
        if not self.settings.uploads:
            raise NotAllowed("Uploads are closed on this page.", "The built-in data is here.")
        hidden = self.settings.private if is_private is None else is_private
        return Uploads(self.settings.home).add(name, file, owner=self.who.name, is_private=hidden)

    def remove_user(self, name: str) -> int:
        """Let somebody sign in no more, and cancel what they have unfinished; how many jobs that was.

        Raises:
            NotAllowed: whoever asks is no administrator.
            NotFound: nobody is by that name.
        """
        if not self.who.is_administrator:
            raise NotAllowed("Only an administrator removes users.")
        self.store.remove_user(name)
        n = 0
        for job_id in self.store.unfinished(name):
            with suppress(IllegalMove, NotFound):  # it has ended meanwhile
                self.cancel(job_id)
                n += 1
        return n

    def cancel(self, job: str) -> Job:
        """Cancel a queued job, or ask a running one to stop and keep what it has."""
        found = check_changed(self.who, self.show(job))
        if found.kind == pipeline.NAME:
            self._pipelining.cancel(found.id, self.who.name)
        else:
            self.store.cancel(found.id, self.who.name)
        return self._told(found)

    def pause(self, job: str) -> Job:
        """Hold a job until it is resumed: a running one saves what it has first, and lets its card go."""
        found = check_changed(self.who, self.show(job))
        if found.kind == pipeline.NAME:
            self._pipelining.pause(found.id, self.who.name)
        else:
            self.store.pause(found.id, self.who.name)
        return self._told(found)

    def resume(self, job: str) -> Job:
        """Let a paused job go on."""
        found = check_changed(self.who, self.show(job))
        if found.kind == pipeline.NAME:
            return self.resume_pipeline(found.id)
        _, is_queued = self.store.resume(found.id, self.who.name)
        if is_queued:
            self._wake(found.queue, found.id)
        return self._told(found)

    def metrics(self, job: str) -> Sequence[Metric]:
        """What a training run logged, in the order of its steps."""
        return self.store.metrics(self.show(job).id)

    def write_curves(self, job: str, folder: Path) -> Path:
        """The curves of a training as a TensorBoard event file, in a folder of the run's own below `folder`.

        Raises:
            BadInput: it has logged nothing yet, or the file cannot be written.
        """
        found = self.show(job)
        metrics = self.store.metrics(found.id)
        if not metrics:
            raise BadInput(f"Job {found.id} has logged no curves.")
        try:
            return write_events(folder / run_name(found), metrics)
        except OSError as error:
            raise BadInput(f"{folder} cannot be written: {error.strerror or error}.") from error

    def record(self, job: str, about: About | None = None) -> Recording:
        """What a job that has ended did, a pipeline with its steps, to be replayed anywhere: nothing private is in it.

        Raises:
            BadInput: it has not ended, or `about` names it as no file can be.
        """
        return take(self, job, about or About())

    def entries(self, job_id: str) -> Sequence[tuple[str, dict[str, str]]]:
        """What is left of a job's stream; it goes a quarter of an hour after its last word."""
        return entries_of(self._redis, self.keys.job(job_id))

    def retry(self, job: str) -> Job:
        """Submit what a finished job was asked as a new job.

        Raises:
            BadInput: it has not finished.
        """
        found = self.show(job)
        if not found.state.is_finished:
            raise BadInput(f"Job {found.id} is {found.state}: only a finished job can be run again.")
        return self.submit(found.kind, found.spec, name=found.name, parent=found.parent, retry_of=found.id)

    def describe(
        self, job: str, *, name: str | None = None, note: str | None = None, visibility: Visibility | None = None
    ) -> Job:
        """Give a job a name (1 to 200 characters) or a note (at most 10,000), or say who sees it.

        Raises:
            BadInput: the name is empty, or one of them is too long.
        """
        if name is not None and not 1 <= len(name.strip()) <= 200:
            raise BadInput("A name has 1 to 200 characters.")
        if note is not None and len(note) > 10_000:
            raise BadInput("A note has at most 10,000 characters.")
        found = check_changed(self.who, self.show(job))
        if visibility is not None and self._is_public:
            raise NotAllowed("On this page everybody sees only what is theirs.")
        self.store.describe(found.id, name=name.strip() if name else None, note=note, visibility=visibility)
        self._ring(found.id)
        return self.store.job(found.id)

    def delete(self, job: str) -> str:
        """Forget a job that is not running, with all that it made; the id that it had."""
        found = check_changed(self.who, self.show(job))
        for artifact in self.store.delete(found.id):
            shutil.rmtree(artifact_folder(self.settings.home, artifact), ignore_errors=True)
        self._ring(found.id)
        if found.pipeline_id:
            self._pipelining.advance(found.pipeline_id)
        return found.id

    def deletable_bytes(self, job: Job) -> int:
        """What deleting a job's checkpoints would free; 0 while it runs or waits."""
        return deletable_bytes(self.store, job, scratch_folder(self.settings.home, job.id))

    def delete_checkpoints(self, job: str) -> int:
        """Delete what a training could go on from, but for the newest of one that is paused; the bytes that are free.

        Raises:
            IllegalMove: the job runs or waits, or another one goes on from them.
            BadInput: there are none.
        """
        found, home = check_changed(self.who, self.show(job)), self.settings.home
        scratch, folder_of = scratch_folder(home, found.id), partial(artifact_folder, home)
        freed = delete_checkpoints(self.store, found, self.who.name, scratch, folder_of)
        self._ring(found.id)
        return freed

    def watch(self, job: str) -> Iterator[Update]:
        """News of a job until it ends, its text from the first character; the last update holds the finished job.

        Raises:
            NoWorker: the job waits and no living worker takes jobs of its queue.
        """
        job_id = self.show(job).id
        yield from follow(lambda: self._watched(job_id), Tail(self._redis, self.keys.job(job_id)), _is_over)

    def _watched(self, job_id: str) -> Job:
        job = self.show(job_id)
        waiting = self.store.waiting_queues(job_id) if job.kind == pipeline.NAME else {job.queue}
        if job.state is State.QUEUED or job.kind == pipeline.NAME:
            workers = self.workers()
            for queue in sorted(waiting):
                if why := why_nobody_takes(queue, workers):
                    raise NoWorker(f"Job {job_id} waits, but {why.reason}.", f"{why.hint} The job stays in the queue.")
        return job

    @property
    def _is_public(self) -> bool:
        return self.settings.mode is Mode.PUBLIC

    def _told(self, changed: Job) -> Job:
        """The job as it is after a change, once all who wait for it have been told."""
        self._ring(changed.id)
        if changed.pipeline_id:
            self._pipelining.advance(changed.pipeline_id)
        return self.store.job(changed.id)

    def _wake(self, queue: str, job_id: str) -> None:
        if self._app:
            send(self._app, queue, job_id)

    def _named(self, text: str) -> Iterator[Job]:
        """The jobs that are meant, be they seen or not."""
        wanted = text.strip().upper()
        whole = [wanted] if is_id(wanted) else []
        for one in whole or (self.store.ids_like(wanted) if len(wanted) >= 4 else []):
            with suppress(NotFound):
                yield self.store.job(one)

    def _ring(self, job_id: str) -> None:
        if self._redis:
            stream.ring(self._redis, self.keys, job_id)


def _no_such(text: str, how_many: str = "no") -> tuple[str, str]:
    """The same of what is not there and of what one may not see, so that nobody learns that it exists."""
    return f"There is {how_many} job {text}.", "`workbench jobs` lists them."


def _is_over(job: Job) -> bool:
    """Whether nothing more comes of it by itself: a step that went wrong holds its pipeline until somebody decides."""
    return job.state.is_finished or (job.state is State.HELD and job.error is not None)


def artifact_folder(home: Path, artifact_id: str) -> Path:
    """Where the files of an artifact lie."""
    return home / "artifacts" / artifact_id


def files_of(folder: Path) -> dict[str, Path]:
    """The files below a folder by their names there. What is a link, or lies behind one, is left out."""
    found: dict[str, Path] = {}
    for parent, _, names in os.walk(folder) if not folder.is_symlink() else ():  # it follows no links below
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                found[path.relative_to(folder).as_posix()] = path
    return found


def scratch_folder(home: Path, job_id: str) -> Path:
    """Where a job keeps what only it needs, from attempt to attempt; it goes when the job has ended."""
    return home / "scratch" / job_id
