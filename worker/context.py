"""What a running attempt sees of the world: the `Context` of `core.jobs.kind`, over store, stream and pool."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.client import artifact_folder, scratch_folder
from core.errors import Unavailable
from core.ids import new_id
from core.jobs.kind import Machine, Result
from core.settings import Settings
from core.store import Store
from core.store.claims import Kept
from core.values import ArtifactKind, ArtifactRef, Measurement, Metric, Progress, Sample
from core.variant import Variant
from worker.hold import Hold, Stopped
from worker.models import Models
from worker.publisher import Publisher

if TYPE_CHECKING:
    from core.llm.measure import Peak
    from core.llm.resident import Resident

WRITE_EVERY_S = 1.0
LOG = logging.getLogger(__name__)


class RunContext:
    """One attempt's door. What it keeps travels to the store once a second, and with the job's last write."""

    def __init__(
        self,
        hold: Hold,
        store: Store,
        publisher: Publisher,
        models: Models,
        settings: Settings,
        machine: Callable[[str], Machine],
    ) -> None:
        self.job_id, self.attempt = hold.key
        self.home = settings.home
        self.trusted_code = settings.trusted_code
        self._hold = hold
        self._store = store
        self._publisher = publisher
        self._models = models
        self._machine = machine
        self._measurements: list[Measurement] = []
        self._samples: list[Sample] = []
        self._metrics: list[Metric] = []
        self._written_at = time.monotonic()
        self._progress_at = float("-inf")
        self._partial: Path | None = None

    def should_stop(self) -> bool:
        """Whether the run is asked to end now and return what it has."""
        return self._hold.reason is not None

    def whole(self) -> None:
        """Say that all is done that was asked for: what is returned now is the result, though a pause was asked for."""
        self._hold.is_whole = True

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` as soon as the run is asked to end."""
        self._hold.on_stop(callback)

    def progress(self, progress: Progress) -> None:
        """Say how far the job is; more often than twice a second nobody needs to know."""
        is_last = progress.total is not None and progress.current >= progress.total
        if time.monotonic() - self._progress_at < WRITE_EVERY_S / 2 and not is_last:
            return
        self._progress_at = time.monotonic()
        with suppress(OSError):
            if self._partial:  # the sweep takes folders that nobody touches for rubbish
                os.utime(self._partial)
        with _forgiving():
            self._store.set_progress(self.job_id, self.attempt, progress)
            self._publisher.ring(self.job_id)

    def token(self, text: str) -> None:
        """Stream a piece of text."""
        if text:
            self._publisher.write(self.job_id, self.attempt, text)

    def sample(self, sample: Sample) -> None:
        """Keep an output."""
        self._samples.append(sample)
        self._write_now_and_then()

    def measurement(self, measurement: Measurement) -> None:
        """Keep a measured quantity."""
        self._measurements.append(measurement)
        self._write_now_and_then()

    def metric(self, metric: Metric) -> None:
        """Keep what a training run logged at a step."""
        self._metrics.append(metric if metric.at else metric.model_copy(update={"at": time.time()}))
        self._write_now_and_then()

    def flush(self) -> None:
        """Write what is kept by now."""
        self._written_at = float("-inf")
        self._write_now_and_then()

    def event(self, kind: str, **data: Any) -> None:
        """Append a fact to the job's history."""
        with _forgiving():
            self._store.add_event(self.job_id, self.attempt, kind, data)
            self._publisher.ring(self.job_id)

    def rewind(self, step: int) -> None:
        """Forget what was logged after `step`: the run goes on from there."""
        self._store.rewind(self.job_id, self.attempt, step)

    def keep(self, result: Result) -> None:
        """Keep what is known of the result by now."""
        with _forgiving():
            self._store.keep_result(self.job_id, self.attempt, result.model_dump(mode="json"))
            self._publisher.ring(self.job_id)

    def restored(self) -> dict[str, Any] | None:
        """What earlier attempts kept of the result."""
        return self._store.job(self.job_id).result if self.attempt > 1 else None

    def scratch(self) -> Path:
        """A folder for what only this job needs; later attempts on this machine find it."""
        folder = scratch_folder(self.home, self.job_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def machine(self) -> Machine:
        """What this job may use."""
        return self._machine(self.job_id)

    @contextmanager
    def artifact(self, kind: ArtifactKind, name: str) -> Iterator[Path]:
        """A folder to fill. It gets its name only when whole, so that a kill leaves nothing that looks like one."""
        artifact_id = new_id()
        folder = artifact_folder(self.home, artifact_id)
        partial = folder.with_name(f"{artifact_id}.partial")
        partial.mkdir(parents=True)
        self._partial = partial
        try:
            yield partial
            self._partial = None
            partial.rename(folder)
            n_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            self._store.add_artifact(
                self.job_id, self.attempt, ArtifactRef(id=artifact_id, kind=kind, name=name, n_bytes=n_bytes)
            )
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def open(self, artifact_id: str) -> Path:
        """The folder of an artifact on this machine."""
        return artifact_folder(self.home, artifact_id)

    def resident(self, variant: Variant) -> Resident:
        """The model in memory, loaded first where need be."""
        resident = self._models.resident(variant, self.job_id, self._unless_stopped)
        if self._progress_at > float("-inf"):  # whoever watches was told of a load, which is over
            self._progress_at = float("-inf")
            self.progress(Progress(message=f"{variant.model} is loaded"))
        return resident

    def _unless_stopped(self, progress: Progress) -> None:
        """Say how far a load is, which may take minutes, and end it where nobody wants it any more."""
        if self.should_stop():
            raise Stopped
        self.progress(progress)

    def pin(self, variant: Variant) -> None:
        """Keep a resident model when another needs the room."""
        self._models.pin(variant)

    def models_changed(self) -> None:
        """Say that models have come or gone on this machine."""
        self._models.changed()

    def memory(self) -> AbstractContextManager[Peak]:
        """Measures the peak memory of this process's device inside the `with` block."""
        return self._models.pool.meter.watch()

    def close(self) -> None:
        """Give back what was borrowed."""
        self._models.pool.give_back(self.job_id)

    def take_kept(self) -> Kept:
        """What has not been written yet, and is the caller's to write now."""
        kept = self._unwritten()
        self._measurements, self._samples, self._metrics = [], [], []
        return kept

    def _unwritten(self) -> Kept:
        return Kept(tuple(self._measurements), tuple(self._samples), tuple(self._metrics))

    def _write_now_and_then(self) -> None:
        if time.monotonic() - self._written_at < WRITE_EVERY_S:
            return
        self._written_at = time.monotonic()
        with _forgiving():
            self._store.keep(self.job_id, self.attempt, self._unwritten())
            self._measurements, self._samples, self._metrics = [], [], []
            self._publisher.ring(self.job_id)


@contextmanager
def _forgiving() -> Iterator[None]:
    """A database that is away for a moment does not end a run: what could not be written goes with the next write."""
    try:
        yield
    except Unavailable as error:
        LOG.warning("%s", error.message)
