"""A small Hub: serves folders as repositories of models or data sets, with the faults that a test asks for.

It speaks what huggingface_hub and this project use: the list of a repository's files, the search, `resolve` with the
headers of large files and a redirect to a CDN, ranges, and the Hub's own error codes. It notes every request.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".gguf", ".parquet", ".model")
KINDS = {"models": "", "datasets": "datasets/"}
PIECE_BYTES = 16 << 10


@dataclass
class Repository:
    """A folder as one commit of a repository.

    Args:
        revisions: further names of this commit, beside `main`.
        token: who must be asking, where the repository is `gated` or `private`.
    """

    folder: Path
    kind: str = "models"
    revisions: tuple[str, ...] = ()
    gated: bool = False
    private: bool = False
    token: str = "hf_right"

    @property
    def commit(self) -> str:
        """Changes with the names and sizes of the files."""
        said = [(path.name, path.stat().st_size) for path in sorted(self.folder.iterdir())]
        return hashlib.sha1(f"{self.folder.name}{said}".encode()).hexdigest()

    def knows(self, revision: str) -> bool:
        return revision in ("main", self.commit, *self.revisions) or self.commit.startswith(revision)


@dataclass
class Request:
    """One request, as it came."""

    method: str
    path: str
    range: str
    authorization: str
    sent_bytes: int = 0


@dataclass
class Faults:
    """What goes wrong. Each counts down where it is a number of times."""

    cut_after: int = 0
    """Close the connection after so many bytes of a file…"""
    n_cuts: int = 0
    """…so often."""
    wrong_bytes: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)
    bytes_per_s: int = 0
    status: int = 0
    """Answer every question with this…"""
    headers: dict[str, str] = field(default_factory=dict)
    """…and these."""
    has_ranges: bool = True
    silent: bool = False
    """Take connections and never answer."""


class Hub:
    """The server, its repositories and what it has seen."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[Request] = []
        self.faults = Faults()
        self.closing = threading.Event()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, name: str, folder: Path, **more: Any) -> Repository:
        """Serve a folder under a name."""
        repository = Repository(folder, **more)
        self.repositories[repository.kind, name] = repository
        return repository

    def files_asked(self, ending: str) -> list[Request]:
        """The requests for files whose names end so, in order, of those that were sent bytes."""
        return [each for each in self.requests if each.path.endswith(ending) and each.path.startswith("/cdn/")]

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A running Hub."""
    hub = Hub()
    hub.start()
    yield hub
    hub.stop()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        self.request_seen = Request(
            self.command, unquote(self.path), self.headers.get("Range", ""), self.headers.get("Authorization", "")
        )
        self.hub.requests.append(self.request_seen)
        faults = self.hub.faults
        if faults.silent:
            self.hub.closing.wait(60)
            self.close_connection = True
            return
        if faults.status:
            self._refuse(faults.status, "", "a fault of the test", **faults.headers)
            return
        parts = urlsplit(self.path)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        if words[0] == "api":
            self._api(words[1], words[2:], {key: value[0] for key, value in parse_qs(parts.query).items()})
        else:
            self._resolve(words)

    def _api(self, kind: str, words: list[str], query: dict[str, str]) -> None:
        if kind not in KINDS:
            self._json({})
            return
        if not words:
            self._search(kind, query)
            return
        revision, is_tree = "main", "tree" in words
        if is_tree or "revision" in words:
            at = words.index("tree" if is_tree else "revision")
            words, revision = words[:at], "/".join(words[at + 1 :])
        found = self._found(kind, "/".join(words), revision)
        if found is not None and is_tree:
            self._json([_in_tree(_described(path, found)) for path in _files(found.folder)])
        elif found is not None:
            name = "/".join(words)
            siblings = [_described(path, found) for path in _files(found.folder)]
            self._json({"id": name, "modelId": name, "sha": found.commit, "siblings": siblings,
                        "private": found.private, "gated": "manual" if found.gated else False})  # fmt: skip

    def _search(self, kind: str, query: dict[str, str]) -> None:
        wanted = query.get("search", "").lower()
        names = [name for of, name in self.hub.repositories if of == kind and wanted in name.lower()]
        self._json([{"id": name, "modelId": name} for name in names[: int(query.get("limit", 100))]])

    def _found(self, kind: str, name: str, revision: str, is_file: bool = False) -> Repository | None:
        """The repository, if the one who asks may have it; else the refusal is sent."""
        found = self.hub.repositories.get((kind, name))
        is_known = found is not None and self.headers.get("Authorization") == f"Bearer {found.token}"
        if found is None or (found.private and not is_known):
            self._refuse(404 if self.headers.get("Authorization") else 401, "RepoNotFound", "Repository not found")
        elif found.gated and not is_known and is_file:
            status = 403 if self.headers.get("Authorization") else 401
            self._refuse(status, "GatedRepo", "Access to this model is restricted.")
        elif not found.knows(revision):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return found
        return None

    def _resolve(self, words: list[str]) -> None:
        is_cdn = words[0] == "cdn"
        words = words[1:] if is_cdn else words
        kind = words[0] if words[0] in KINDS else "models"
        words = words[1:] if words[0] in KINDS else words
        if "resolve" not in words:
            self._refuse(404, "", "no such page")
            return
        at = words.index("resolve")
        name, revision, file = "/".join(words[:at]), words[at + 1], "/".join(words[at + 2 :])
        found = self.hub.repositories[kind, name] if is_cdn else self._found(kind, name, revision, is_file=True)
        if found is None:
            return
        path = found.folder / file
        if not path.is_file():
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif is_cdn or not file.endswith(LARGE):
            self._send_file(path, found, is_cdn)
        else:
            self._redirect(path, found)

    def _redirect(self, path: Path, repository: Repository) -> None:
        self.send_response(302)
        for key, value in self._file_headers(path, repository).items():
            self.send_header(key, value)
        self.send_header("Location", f"{self.hub.endpoint.replace('127.0.0.1', 'localhost')}/cdn{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file_headers(self, path: Path, repository: Repository) -> dict[str, str]:
        digest, size = digest_of(path), str(path.stat().st_size)
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": size} if path.name.endswith(LARGE) else {}
        return {"X-Repo-Commit": repository.commit, "ETag": f'"{digest}"', "Accept-Ranges": "bytes", **linked}

    def _send_file(self, path: Path, repository: Repository, is_cdn: bool) -> None:
        data = path.read_bytes()
        faults = self.hub.faults
        if path.name in faults.wrong_bytes:
            data = bytes(len(data) // 2) + data[len(data) // 2 :]
        if path.name in faults.short:
            data = data[: len(data) // 2]
        begin = int(self.request_seen.range.removeprefix("bytes=").partition("-")[0] or 0) if faults.has_ranges else 0
        if begin > len(data) or (begin and begin == len(data)):
            self._refuse(416, "", "no such range")
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        for key, value in self._file_headers(path, repository).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        if self.command == "GET":
            self._send(data[begin:], may_cut=is_cdn)

    def _send(self, data: bytes, may_cut: bool) -> None:
        faults, sent = self.hub.faults, 0
        is_cut = may_cut and faults.n_cuts > 0 and faults.cut_after < len(data)
        if is_cut:
            faults.n_cuts -= 1
            data = data[: faults.cut_after]
        try:
            for at in range(0, len(data), PIECE_BYTES):
                piece = data[at : at + PIECE_BYTES]
                self.wfile.write(piece)
                self.request_seen.sent_bytes += len(piece)
                sent += len(piece)
                if faults.bytes_per_s and may_cut:
                    time.sleep(len(piece) / faults.bytes_per_s)
                if self.hub.closing.is_set():
                    break
        except OSError:
            is_cut = True
        self.close_connection = self.close_connection or is_cut

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _refuse(self, status: int, code: str, message: str, **headers: str) -> None:
        data = json.dumps({"error": message}).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest_of(path: Path) -> str:
    """What the Hub calls a file: its SHA-256 where it is large, else git's name of it."""
    data = path.read_bytes()
    if path.name.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def _in_tree(described: dict[str, Any]) -> dict[str, Any]:
    """The same file as the other list of the API has it."""
    lfs = described.get("lfs")
    found = {"type": "file", "path": described["rfilename"], "size": described["size"], "oid": described["blobId"]}
    return found | {"lfs": {"oid": lfs["sha256"], "size": lfs["size"], "pointerSize": 134}} if lfs else found


def _described(path: Path, repository: Repository) -> dict[str, Any]:
    size, digest = path.stat().st_size, digest_of(path)
    found: dict[str, Any] = {"rfilename": path.relative_to(repository.folder).as_posix(), "size": size}
    if path.name.endswith(LARGE):
        return found | {"blobId": "0" * 40, "lfs": {"sha256": digest, "size": size, "pointerSize": 134}}
    return found | {"blobId": digest}
