"""Engines and transactions. SQLite gets one engine that writes and one that reads; PostgreSQL needs one."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError, ProgrammingError

from core.errors import SetupError, Unavailable

BUSY_TIMEOUT_MS = 15_000


class Database:
    """Short transactions on one database.

    A deferred begin that reads and then writes fails at once in WAL mode, whatever the busy time-out: what writes
    begins IMMEDIATE, and what only reads must not take the write lock.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._writer = _sqlite(url, "BEGIN IMMEDIATE") if self.is_sqlite else _postgresql(url)
        self._reader = _sqlite(url, "BEGIN", query_only=True) if self.is_sqlite else self._writer
        self._turn = _Turn(Path(f"{make_url(url).database}.turn")) if self.is_sqlite else None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that may write."""
        with _said_plainly(self.url), self._turn or nullcontext(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view, which cannot write."""
        with _said_plainly(self.url), self._reader.connect() as connection:
            yield connection

    def close(self) -> None:
        """Give every connection back."""
        self._writer.dispose()
        self._reader.dispose()
        if self._turn:
            self._turn.close()


class _Turn:
    """One writer at a time, of all threads and processes of this program.

    SQLite's own lock is asked for again and again, with sleeps of up to 100 ms between; whoever waits here is woken by
    the kernel as soon as it is free, and the lock of a process that dies goes with it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.Lock()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> None:
        self._thread.acquire()
        try:
            self._file = self._file or self._path.open("wb")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            self._thread.release()
            raise Unavailable(f"{self._path} cannot be written: {error.strerror}.", _hint(str(error))) from error

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._thread.release()

    def close(self) -> None:
        """Give the file back."""
        if self._file:
            self._file.close()
            self._file = None


@contextmanager
def _said_plainly(url: str) -> Iterator[None]:
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        if _are_tables_missing(error):
            raise SetupError("The database has no tables yet, or old ones.", "Run `workbench migrate`.") from error
        if isinstance(error, ProgrammingError):
            raise
        where = make_url(url).render_as_string(hide_password=True)
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no answer"
        raise Unavailable(f"The database {where} does not answer: {reason}.", _hint(reason)) from error
    except DatabaseError as error:
        if "malformed" in str(error) or "not a database" in str(error):
            raise SetupError(
                f"The database file of {url} is damaged.", "Put a copy back, or move the file away."
            ) from error
        raise


def _are_tables_missing(error: DatabaseError) -> bool:
    if isinstance(error, ProgrammingError):  # PostgreSQL's; a database that does not exist is an OperationalError there
        return "does not exist" in str(error.orig)
    return "no such table" in str(error.orig) or "no such column" in str(error.orig)


def _hint(reason: str) -> str:
    if "full" in reason:
        return "Free some space on that disk."
    if "readonly" in reason or "unable to open" in reason:
        return "Check who may write in WORKBENCH_HOME."
    return "Check that it runs and that WORKBENCH_DATABASE_URL is right."


def _sqlite(url: str, begin: str, *, query_only: bool = False) -> Engine:
    path = make_url(url).database
    if path:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"The folder of {path} cannot be made: {error.strerror}.", "Set WORKBENCH_HOME."
            ) from error
    engine = create_engine(url, connect_args={"check_same_thread": False}, pool_size=40, max_overflow=40)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA journal_size_limit=67108864")
        if query_only:
            connection.execute("PRAGMA query_only=1")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql(url: str) -> Engine:
    options = f"{make_url(url).query.get('options', '')} -c statement_timeout=30000"
    return create_engine(
        url,
        pool_size=20,
        max_overflow=60,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": 5, "options": options},
    )
