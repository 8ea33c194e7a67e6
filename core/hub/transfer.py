"""Brings one file here: from where an earlier try was cut off, with its checksum made on the way.

The bytes lie in `DIGEST.incomplete` until they are whole and proven. A lock that the kernel frees keeps a second job
from writing there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.errors import DiskFull, HubAway, ModelBroken
from core.hub.line import Line
from core.hub.repository import RemoteFile, Repository
from core.hub.shelf import Shelf

CHUNK_BYTES = 1 << 20
TRIES = 3  # without a single byte between them
AGAIN = "Start the download again: it goes on where it was."

Count = Callable[[int, bool], None]  # bytes, and whether they came over the network just now


def fetch(line: Line, repository: Repository, file: RemoteFile, shelf: Shelf, count: Count) -> None:
    """Bring `file` into the cache, if it is not there; `count` hears of bytes that are here, and of those taken back.

    Raises:
        HubAway: the connection broke, and again when it was tried anew; what is here is kept.
        ModelBroken: what came is not what the Hub says it is; it is removed.
        DiskFull: the disk filled up; what came of this file is removed, so that the machine can breathe.
        Stopped: the line was cut; what is here is kept.
    """
    blob, partial = shelf.blob(file), shelf.partial(file)
    blob.parent.mkdir(parents=True, exist_ok=True)
    with _alone(partial, line) as opened:
        if _is_whole(blob, file):
            partial.unlink(missing_ok=True)
            count(file.n_bytes, False)
        else:
            try:
                _Transfer(line, repository, file, opened, count).run()
            except (DiskFull, ModelBroken):
                partial.unlink(missing_ok=True)
                raise
            partial.replace(blob)
    shelf.link(file)


def _is_whole(blob: Path, file: RemoteFile) -> bool:
    if blob.is_file() and blob.stat().st_size != file.n_bytes:
        blob.unlink()  # something else damaged it
    return blob.is_file()


@contextmanager
def _alone(partial: Path, line: Line) -> Iterator[IO[bytes]]:
    """The partial file, opened for us alone; whoever comes second waits until the first has done the work."""
    while True:
        with partial.open("a+b") as opened:
            while not _locked(opened):
                line.wait(0.1)
            if _is_still(partial, opened):
                yield opened
                return
        # the first has renamed or removed the file that we waited for: look again


def _is_still(path: Path, opened: IO[bytes]) -> bool:
    try:
        return os.path.samestat(os.fstat(opened.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _locked(opened: IO[bytes]) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Transfer:
    """The bytes of one file on their way."""

    def __init__(self, line: Line, repository: Repository, file: RemoteFile, opened: IO[bytes], count: Count) -> None:
        self._line, self._repository, self._file = line, repository, file
        self._opened, self._count = opened, count
        self._hasher, self._here = file.hasher(), 0

    def run(self) -> None:
        self._take_up()
        n_failed = 0
        while self._here < self._file.n_bytes:
            before = self._here
            try:
                self._read_on()
            except HubAway as error:
                n_failed = 0 if self._here > before else n_failed + 1
                if n_failed >= TRIES:
                    raise self._broken_off(error) from error
                self._line.wait(0.3 * 2**n_failed)
        self._prove()

    def _take_up(self) -> None:
        """Reckon with what an earlier try left."""
        self._opened.seek(0)
        while piece := self._opened.read(CHUNK_BYTES):
            self._add(piece, False)
            self._line.wait(0)  # hashing ten gigabytes takes a while
        if self._here > self._file.n_bytes:
            self._start_over()

    def _read_on(self) -> None:
        url = self._repository.url(self._file.name, self._line.access)
        with self._line.stream(url, self._here, self._repository.page) as response:
            goes_on = response.headers.get("content-range", "").startswith(f"bytes {self._here}-")
            if self._here and not (response.status_code == 206 and goes_on):
                self._start_over()  # a server that knows no ranges sends the whole
                if response.status_code == 206:
                    return
            for piece in response.iter_bytes():
                self._opened.write(piece)
                self._add(piece, True)
                self._line.wait(0)
                if self._here > self._file.n_bytes:
                    break
            self._opened.flush()

    def _add(self, piece: bytes, is_new: bool) -> None:
        self._hasher.update(piece)
        self._here += len(piece)
        self._count(len(piece), is_new)

    def _start_over(self) -> None:
        self._opened.seek(0)
        self._opened.truncate()
        self._count(-self._here, False)
        self._hasher, self._here = self._file.hasher(), 0

    def _prove(self) -> None:
        if self._here == self._file.n_bytes and self._hasher.hexdigest() == self._file.digest:
            self._opened.flush()
            os.fsync(self._opened.fileno())  # a power cut after the rename must not leave a whole name on empty bytes
            return
        self._count(-self._here, False)
        raise ModelBroken(
            f"{self._file.name} of {self._repository.name} arrived damaged: its checksum is not the Hub's.",
            "Start the download again: this file is fetched anew, the others are kept.",
        )

    def _broken_off(self, error: HubAway) -> HubAway:
        if not self._here:
            return error
        here, total = self._here / 1e6, self._file.n_bytes / 1e6
        return HubAway(f"The download of {self._file.name} broke off after {here:,.1f} of {total:,.1f} MB.", AGAIN)
