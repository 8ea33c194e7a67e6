"""Recordings as files: one compressed JSON each, and the shelves on which they lie."""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from core.errors import BadInput, NotFound, SetupError
from core.recording.values import VERSION, Recording
from core.values import Job

ENDING = ".json.gz"
MOST_BYTES = 64_000_000  # unpacked: a small file may hold an endless one
UPDATE = "Bring this one up to date."
LOG = logging.getLogger(__name__)


def write(recording: Recording, folder: Path) -> Path:
    """Keep a recording in a folder; where it lies now. Nothing that is there is overwritten.

    Raises:
        BadInput: there is one of that name already.
        SetupError: the folder cannot be written.
    """
    path = folder / f"{recording.name}{ENDING}"
    packed = gzip.compress(recording.model_dump_json(exclude_defaults=True).encode(), 9, mtime=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(packed)
    except FileExistsError as error:
        raise BadInput(f"{path} is there already.", "Give it another --name, or another folder with --to.") from error
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path


def read(path: Path) -> Recording:
    """The recording in a file.

    Raises:
        BadInput: it is none, is damaged, or was made by a newer version of this program.
    """
    body = _unpacked(path)
    try:
        if _version(body) > VERSION:
            raise BadInput(
                f"{path.name} was recorded by a newer version of this program.", "Bring this one up to date."
            )
        return Recording.model_validate_json(body)
    except ValidationError as error:
        what = f"{error.error_count()} of its facts are not as they should be"
    except (ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        what = "it is no JSON of ours"
    raise BadInput(f"{path.name} is no recording: {what}.", "Record the job again, or fetch the file again.")


def _version(body: bytes) -> int:
    version = json.loads(body).get("version", VERSION)
    return version if isinstance(version, int) else 0


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            body = file.read(MOST_BYTES + 1)
    except (EOFError, zlib.error) as error:
        raise BadInput(f"{path.name} is cut off or damaged.", "Fetch or record it again.") from error
    except OSError as error:
        why = error.strerror or "it is no compressed file"
        raise BadInput(f"{path.name} cannot be read: {why}.", "Fetch or record it again.") from error
    if len(body) > MOST_BYTES:
        raise BadInput(f"{path.name} holds more than {MOST_BYTES:,} bytes.", "No recording is that long.")
    return body


@dataclass(frozen=True)
class Shelf:
    """Folders with recordings; of two with the same name the first is meant."""

    folders: Sequence[Path]

    @classmethod
    def of(cls, home: Path) -> Shelf:
        """What comes with this program, and what lies in a home."""
        return cls((Path(str(files("core"))) / "recordings", home / "recordings"))

    def paths(self) -> dict[str, Path]:
        """Each file by the name of its recording."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in sorted(folder.glob(f"*{ENDING}")) if folder.is_dir() else ():
                found.setdefault(path.name.removesuffix(ENDING), path)
        return found

    def path(self, name: str) -> Path:
        """Where the recording of that name lies.

        Raises:
            NotFound: there is none.
        """
        path = self.paths().get(name)
        if path is None:
            raise NotFound(f"There is no recording {name[:60]!r}.", "The page /recorded lists them.")
        return path

    def job(self, name: str, kind: str) -> Job:
        """The job of a kind that was recorded under a name: what it was asked, to be asked again.

        Raises:
            NotFound: there is no such recording.
            BadInput: it cannot be read, or is of a job of another kind.
        """
        found = read(self.path(name)).whole
        if found.kind != kind:
            raise BadInput(f"The recording {name!r} is of a {found.kind}, not of a {kind}.")
        return found

    def readable(self) -> Iterator[tuple[str, Path, Recording]]:
        """Every recording that this version can show; of another it is said in the log why not."""
        for name, path in self.paths().items():
            try:
                yield name, path, read(path)
            except BadInput as error:
                LOG.warning("%s %s", error.message, error.hint)
