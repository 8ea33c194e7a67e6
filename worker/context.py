"""What a running attempt sees of the world: the `Context` of `core.jobs.kind`, over store, stream and pool."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.client import artifact_folder
from core.errors import Unavailable
from core.ids import new_id
from core.store import Store
from core.store.claims import Kept
from core.values import ArtifactKind, ArtifactRef, Measurement, Progress, Sample
from worker.hold import Hold
from worker.pool import Pool
from worker.publisher import Publisher

if TYPE_CHECKING:
    from core.llm.engine import Engine
    from core.llm.measure import Peak

WRITE_EVERY_S = 1.0
LOG = logging.getLogger(__name__)


class RunContext:
    """One attempt's door. What it keeps travels to the store once a second, and with the job's last write."""

    def __init__(self, hold: Hold, store: Store, publisher: Publisher, pool: Pool, home: Path) -> None:
        self.job_id, self.attempt = hold.key
        self.home = home
        self._hold = hold
        self._store = store
        self._publisher = publisher
        self._pool = pool
        self._measurements: list[Measurement] = []
        self._samples: list[Sample] = []
        self._borrowed: list[Engine] = []
        self._written_at = time.monotonic()
        self._progress_at = float("-inf")

    def should_stop(self) -> bool:
        """Whether the run is asked to end now and return what it has."""
        return self._hold.reason is not None

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` as soon as the run is asked to end."""
        self._hold.on_stop(callback)

    def progress(self, progress: Progress) -> None:
        """Say how far the job is; more often than twice a second nobody needs to know."""
        is_last = progress.total is not None and progress.current >= progress.total
        if time.monotonic() - self._progress_at < WRITE_EVERY_S / 2 and not is_last:
            return
        self._progress_at = time.monotonic()
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

    @contextmanager
    def artifact(self, kind: ArtifactKind, name: str) -> Iterator[Path]:
        """A folder to fill. It gets its name only when whole, so that a kill leaves nothing that looks like one."""
        artifact_id = new_id()
        folder = artifact_folder(self.home, artifact_id)
        partial = folder.with_name(f"{artifact_id}.partial")
        partial.mkdir(parents=True)
        try:
            yield partial
            partial.rename(folder)
            n_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            self._store.add_artifact(
                self.job_id, self.attempt, ArtifactRef(id=artifact_id, kind=kind, name=name, n_bytes=n_bytes)
            )
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def engine(self, model: str) -> Engine:
        """The resident engine of a model."""
        engine = self._pool.borrow(model, lambda message: self.progress(Progress(message=message)))
        self._borrowed.append(engine)
        return engine

    def memory(self) -> AbstractContextManager[Peak]:
        """Measures the peak memory of this process's device inside the `with` block."""
        return self._pool.meter.watch()

    def close(self) -> None:
        """Give back what was borrowed."""
        for engine in self._borrowed:
            self._pool.give_back(engine)
        self._borrowed = []

    def take_kept(self) -> Kept:
        """What has not been written yet, and is the caller's to write now."""
        kept = self._unwritten()
        self._measurements, self._samples = [], []
        return kept

    def _unwritten(self) -> Kept:
        return Kept(tuple(self._measurements), tuple(self._samples))

    def _write_now_and_then(self) -> None:
        if time.monotonic() - self._written_at < WRITE_EVERY_S:
            return
        self._written_at = time.monotonic()
        with _forgiving():
            self._store.keep(self.job_id, self.attempt, self._unwritten())
            self._measurements, self._samples = [], []
            self._publisher.ring(self.job_id)


@contextmanager
def _forgiving() -> Iterator[None]:
    """A database that is away for a moment does not end a run: what could not be written goes with the next write."""
    try:
        yield
    except Unavailable as error:
        LOG.warning("%s", error.message)
