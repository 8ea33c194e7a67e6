"""Where a repository's files lie in the Hub's cache: blobs by their digest, and links by commit and name.

The layout is huggingface_hub's, so that every other program on the machine finds the same files.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from core.catalog.cache import DEFAULT_REVISION, repository_folder
from core.hub.repository import RemoteFile, Repository


class Shelf:
    """One repository's place in the cache."""

    def __init__(self, cache: Path, repository: Repository) -> None:
        self.folder = repository_folder(repository.name, cache, f"{repository.kind}s--")
        self.snapshot = self.folder / "snapshots" / repository.commit
        self._commit = repository.commit

    def blob(self, file: RemoteFile) -> Path:
        """Where a file's bytes lie."""
        return self.folder / "blobs" / file.digest

    def partial(self, file: RemoteFile) -> Path:
        """Where they lie as long as they are not whole."""
        return self.folder / "blobs" / f"{file.digest}.incomplete"

    def bytes_here(self, file: RemoteFile) -> int:
        """How much of a file is here."""
        for path in (self.blob(file), self.partial(file)):
            if path.is_file():
                return min(path.stat().st_size, file.n_bytes)
        return 0

    def link(self, file: RemoteFile) -> None:
        """Give the bytes their name in the snapshot."""
        target = self.snapshot / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        blob = self.blob(file)
        if target.exists() and target.samefile(blob):
            return
        beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            beside.symlink_to(os.path.relpath(blob, target.parent))
        except OSError:  # a disk without links: huggingface_hub copies there too
            shutil.copyfile(blob, beside)
        beside.replace(target)

    def refer(self, revision: str | None) -> None:
        """Note which commit a branch or tag stood at; done last, so that it never points to half a snapshot."""
        name = revision or DEFAULT_REVISION
        if self._commit.startswith(name) or ".." in name or name.startswith("/"):
            return
        path = self.folder / "refs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        beside.write_text(self._commit, encoding="ascii")
        beside.replace(path)
