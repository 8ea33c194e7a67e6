"""Files that people gave: kept in the home by an id. A name is a label and never becomes a path."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from core.access import Who
from core.errors import BadInput, DiskFull, NotFound
from core.ids import is_id, new_id

MOST_BYTES = 2_000_000_000
CHUNK_BYTES = 1 << 20
CONTENT, ABOUT = "content", "upload.json"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was given: its id, what it was called, the SHA-256 of its bytes, and whose it is: "" for all."""

    id: str
    name: str
    n_bytes: int
    sha256: str
    owner: str = ""
    is_private: bool = False

    def may_be_seen_by(self, who: Who) -> bool:
        """A data set is its owner's; the team sees it too unless it is private."""
        return who.is_administrator or not self.is_private or self.owner == who.name

    def may_be_changed_by(self, who: Who) -> bool:
        """Only its owner and an administrator delete it."""
        return who.is_administrator or self.owner in ("", who.name)


class Uploads:
    """The uploads of one home."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "uploads"

    def add(
        self,
        name: str,
        stream: IO[bytes],
        limit_bytes: int = MOST_BYTES,
        *,
        owner: str = "",
        is_private: bool = False,
    ) -> Upload:
        """Keep what `stream` gives; it is there whole or not at all.

        Raises:
            BadInput: it is empty, or holds more than `limit_bytes`.
            DiskFull: the disk has no room for it.
        """
        upload_id = new_id()
        aside = self._folder / f".{upload_id}"
        try:
            aside.mkdir(parents=True)
            n_bytes, digest = _copied(stream, aside / CONTENT, _label(name), limit_bytes)
            upload = Upload(upload_id, _label(name), n_bytes, digest, owner, is_private)
            (aside / ABOUT).write_text(json.dumps(asdict(upload), ensure_ascii=False), encoding="utf-8")
            aside.rename(self._folder / upload_id)
        except OSError as error:
            raise DiskFull(f"{_label(name)} cannot be kept in {self._folder}: {error.strerror}.") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return upload

    def find(self, upload_id: str) -> Upload:
        """The upload of that id.

        Raises:
            NotFound: there is none.
        """
        if found := self.look(upload_id):
            return found
        raise NotFound(f"There is no upload {upload_id[:64]}.", "`workbench data` lists those that there are.")

    def look(self, upload_id: str) -> Upload | None:
        """The upload of that id, if there is one."""
        if is_id(upload_id):
            with suppress(OSError, ValueError, TypeError):
                return Upload(**json.loads((self._folder / upload_id / ABOUT).read_text(encoding="utf-8")))
        return None

    def path(self, upload: Upload) -> Path:
        """Where its bytes lie."""
        return self._folder / upload.id / CONTENT

    def remove(self, upload_id: str) -> Upload:
        """Forget an upload; what it was.

        Raises:
            NotFound: there is none.
        """
        found = self.find(upload_id)
        aside = self._folder / f".{found.id}.gone"
        (self._folder / found.id).rename(aside)  # at once, also for who lists them meanwhile
        shutil.rmtree(aside, ignore_errors=True)
        return found

    def all(self) -> Iterator[Upload]:
        """The uploads, newest first."""
        folders = sorted(self._folder.iterdir(), reverse=True) if self._folder.is_dir() else []
        for folder in folders:
            with suppress(NotFound):
                yield self.find(folder.name)


def _label(name: str) -> str:
    """The last part of a name, as it may stand in a sentence."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:200].strip() or "upload"


def _copied(stream: IO[bytes], target: Path, name: str, limit_bytes: int) -> tuple[int, str]:
    hasher, n_bytes = hashlib.sha256(), 0
    with target.open("xb") as file:
        while piece := stream.read(CHUNK_BYTES):
            n_bytes += len(piece)
            if n_bytes > limit_bytes:
                raise BadInput(f"{name} has more than {limit_bytes:,} bytes, and an upload at most so many.")
            hasher.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if not n_bytes:
        raise BadInput(f"{name} is empty.")
    return n_bytes, hasher.hexdigest()
