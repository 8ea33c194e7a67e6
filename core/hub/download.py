"""Brings one revision of a repository here: what is needed, small files first and the weights last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.catalog.trust import may_fetch_code
from core.catalog.weights import Form, Weights
from core.hub.choose import files_named, small_files, weights_to_fetch
from core.hub.line import Line
from core.hub.pace import Pace
from core.hub.repository import RemoteFile, Repository, look_up
from core.hub.room import check_room
from core.hub.shelf import Shelf
from core.hub.transfer import fetch
from core.hub.trouble import Stopped
from core.memory.headers import files_of
from core.values import Progress

PICKLED_NOTE = "Its weights are pickled, a format that can run code when it is read: convert it before it is used."


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came. `is_whole` is False where the work was stopped in the middle."""

    name: str
    commit: str
    n_bytes: int
    files: tuple[str, ...]
    is_whole: bool
    note: str = ""


def download(
    line: Line,
    name: str,
    revision: str | None,
    file: str,
    trusted_code: str,
    report: Callable[[Progress], None],
) -> Fetched:
    """Bring a model here; what is here already is not fetched again, and a partial file goes on where it was.

    Raises:
        HubAway, HubRefused, ModelNotFound, ModelBroken, BadInput, DiskFull: in a sentence each.
        Stopped: the line was cut before it was known what there is.
    """
    report(Progress(message=f"asking the Hub for {name}"))
    repository = look_up(line, name, revision)
    weights = weights_to_fetch(repository, file)
    small = small_files(repository, weights, may_fetch_code(name, repository.commit, trusted_code))
    work = _Work(line, repository, Shelf(line.access.cache, repository), report)
    try:
        work.run(small, weights)
    except Stopped:
        return work.fetched(is_whole=False, note="")
    work.shelf.refer(revision)
    return work.fetched(is_whole=True, note=PICKLED_NOTE if weights.form is Form.PICKLED else "")


class _Work:
    def __init__(self, line: Line, repository: Repository, shelf: Shelf, report: Callable[[Progress], None]) -> None:
        self.shelf = shelf
        self._line, self._repository, self._report = line, repository, report
        self._done: list[str] = []
        self._pace = Pace()

    def run(self, small: list[RemoteFile], weights: Weights) -> None:
        guessed = [*small, *(self._repository.files[name] for name in weights.files)]
        self._begin(guessed)
        index = [self._repository.files[weights.index]] if weights.index else []
        for file in (*index, *small):
            self._fetch(file)
        names = weights.files if weights.index is None else files_of((self.shelf.snapshot / weights.index).read_bytes())
        shards = files_named(self._repository, names)
        self._begin([*index, *small, *shards])
        for file in shards:
            self._fetch(file)

    def _begin(self, files: list[RemoteFile]) -> None:
        """Reckon what there is to do, and whether the disk has room for it."""
        needed = {file.digest: file.n_bytes - self.shelf.bytes_here(file) for file in files}
        check_room(self._line.access.cache, sum(needed.values()), self._repository.name)
        self._pace.plan(sum(file.n_bytes for file in files), len(files))

    def _fetch(self, file: RemoteFile) -> None:
        self._pace.begin(file.name)
        fetch(self._line, self._repository, file, self.shelf, self._count)
        self._done.append(file.name)

    def _count(self, n_bytes: int, is_new: bool) -> None:
        self._pace.count(n_bytes, is_new)
        self._report(self._pace.progress())

    def fetched(self, is_whole: bool, note: str) -> Fetched:
        return Fetched(
            self._repository.name, self._repository.commit, self._pace.n_fetched, tuple(self._done), is_whole, note
        )
