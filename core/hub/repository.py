"""What one revision of a repository holds, and which names the Hub has that are like one that it has not."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from huggingface_hub import hf_hub_url
from huggingface_hub.hf_api import DatasetInfo, ModelInfo, RepoSibling

from core.catalog.names import COMMIT, did_you_mean, is_hub_name, nearest, shown
from core.errors import ModelError, ModelNotFound
from core.hub.access import Access
from core.hub.line import Line
from core.hub.trouble import Missing, odd

SHA256, SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
SEARCH_S = 4.0


class RepositoryKind(StrEnum):
    """What a repository holds. The value is the Hub's own word."""

    MODEL = "model"
    DATASET = "dataset"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository. `digest` is its SHA-256 where it is kept in large-file storage, else git's own."""

    name: str
    n_bytes: int
    digest: str

    def hasher(self) -> Any:
        """What makes the digest of the file's bytes."""
        if SHA256.fullmatch(self.digest):
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.n_bytes}\0".encode(), usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit."""

    name: str
    commit: str
    files: dict[str, RemoteFile]
    kind: RepositoryKind = RepositoryKind.MODEL

    @property
    def page(self) -> str:
        """Where its page is, below the Hub's address."""
        return page_of(self.name, self.kind)

    def url(self, file: str, access: Access) -> str:
        """Where a file of this commit is fetched."""
        return hf_hub_url(self.name, file, repo_type=self.kind, revision=self.commit, endpoint=access.endpoint)


def page_of(name: str, kind: RepositoryKind) -> str:
    """A repository's name as the Hub's addresses have it."""
    return name if kind is RepositoryKind.MODEL else f"{kind}s/{name}"


def look_up(line: Line, name: str, revision: str | None, kind: RepositoryKind = RepositoryKind.MODEL) -> Repository:
    """What the Hub says of a repository.

    Raises:
        ModelNotFound: there is none of that name (the nearest that there are stand in the hint), or no such revision.
        HubRefused: it is gated or private, or the Hub wants no more requests.
        HubAway: the Hub does not answer, or with what no Hub says.
    """
    if not is_hub_name(name):
        raise ModelNotFound(f"{shown(name)} cannot be the name of a model on the Hub: organisation/name is one.")
    path = f"{kind}s/{name}" if revision is None else f"{kind}s/{name}/revision/{quote(revision, safe='')}"
    try:
        made: Any = ModelInfo if kind is RepositoryKind.MODEL else DatasetInfo  # their constructors have no types
        found = made(**line.ask(path, page_of(name, kind), blobs="true"))
        files = {file.name: file for file in map(_file, found.siblings or ())}
        return Repository(name, _commit(found.sha), files, kind)
    except Missing as error:
        message = (
            error.message if kind is RepositoryKind.MODEL else f"The Hub has no data set {name}, or it is private."
        )
        near = did_you_mean(_nearest(line, name, kind))
        raise ModelNotFound(message, f"{near} {error.hint}".strip()) from error
    except (TypeError, KeyError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise odd(line.access) from error


def _commit(sha: object) -> str:
    if not isinstance(sha, str) or not COMMIT.fullmatch(sha):
        raise ValueError("no commit")
    return sha


def _file(said: RepoSibling) -> RemoteFile:
    digest = said.lfs.sha256 if said.lfs else said.blob_id
    n_bytes = said.lfs.size if said.lfs else said.size
    if not digest or not (SHA256.fullmatch(digest) or SHA1.fullmatch(digest)) or n_bytes is None:
        raise ValueError(said.rfilename)  # a digest becomes a file's name, so it may be nothing else
    return RemoteFile(said.rfilename, n_bytes, digest)


def _nearest(line: Line, name: str, kind: RepositoryKind) -> list[str]:
    """Names that the Hub finds for the words of this one. Its search knows no typos, so shorter words are tried too."""
    short = name.rpartition("/")[2]
    found: list[str] = []
    try:
        for words in dict.fromkeys((short, re.split(r"[-_.]", short)[0], short[: max(4, len(short) * 2 // 3)])):
            found += [str(each["id"]) for each in line.ask(f"{kind}s", name, SEARCH_S, search=words, limit=50)]
            if near := nearest(name, found):
                return near
    except (ModelError, TypeError, KeyError):
        return []  # the sentence that there is no such model stands without it
    return []
