"""Brings the tables up to date: one process at a time, with a copy of a SQLite file before it is changed."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from core.errors import SetupError, Unavailable

PATIENCE_S = 15.0
LOCK_NUMBER = 7_860_001  # any number that nobody else uses for a PostgreSQL advisory lock


def migrate(url: str) -> bool:
    """Bring the database at `url` to the newest revision; whether anything had to be done.

    Raises:
        Unavailable: the database does not answer or cannot be written.
        SetupError: the database was made by a newer version of this program.
    """
    with _one_at_a_time(url), migration_connection(url) as connection:
        _write_ahead(connection)
        current = _current(connection)
        if current == head():
            return False
        if current and current not in {script.revision for script in _scripts().walk_revisions()}:
            raise SetupError(
                f"The database is at revision {current}, which this version does not know.",
                "It was made by a newer version: upgrade this one.",
            )
        if current:
            _copy_sqlite(connection, url, current)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return True


def check_head(url: str) -> None:
    """Refuse to work on tables of another revision.

    Raises:
        SetupError: the database must be migrated first.
        Unavailable: the database does not answer.
    """
    with migration_connection(url) as connection:
        current = _current(connection)
    if current != head():
        raise SetupError(
            f"The database is at revision {current or 'none'}, and this version needs {head()}.",
            "Run `workbench migrate`.",
        )


def wait_for_head(url: str, patience_s: float) -> None:
    """Wait until whoever migrates has done so, for at most `patience_s` seconds.

    Raises:
        SetupError: the time is over.
        Unavailable: the database does not answer.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            return check_head(url)
        except SetupError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def head() -> str:
    """The newest revision."""
    return str(_scripts().get_current_head())


@contextmanager
def migration_connection(url: str) -> Iterator[Connection]:
    """A connection of its own: SQLite's batch migrations re-create tables, which with foreign keys on empties the ones
    that refer to them."""
    sqlite = make_url(url).get_backend_name() == "sqlite"
    if sqlite and (path := make_url(url).database):
        _make_folder(Path(path).parent)
    engine = create_engine(url, poolclass=NullPool, connect_args={} if sqlite else {"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            if sqlite:
                connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
                connection.commit()
            yield connection
    except OperationalError as error:
        where = make_url(url).render_as_string(hide_password=True)
        reason = str(error.orig).strip().splitlines()[0]
        raise Unavailable(
            f"The database {where} does not answer: {reason}.",
            "Check that it runs, its address and who may write there.",
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"The folder {folder} cannot be made: {error.strerror}.", "Set WORKBENCH_HOME to another."
        ) from error


@contextmanager
def _one_at_a_time(url: str) -> Iterator[None]:
    if make_url(url).get_backend_name() != "sqlite":
        with migration_connection(url) as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK_NUMBER})")
            yield  # the lock goes with the connection
        return
    path = Path(str(make_url(url).database))
    _make_folder(path.parent)
    try:
        lock = path.with_suffix(".lock").open("w")
    except OSError as error:
        raise SetupError(
            f"The folder {path.parent} cannot be written: {error.strerror}.", "Set WORKBENCH_HOME to another."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_ahead(connection: Connection) -> None:
    """Turn SQLite's write-ahead log on: it stays on in the file, and is turned on here because nobody waits for it.

    Whoever changes the mode while another reads, or changes it too, fails at once, whatever the busy time-out.
    """
    if connection.dialect.name != "sqlite":
        return
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.commit()
            return
        except OperationalError as error:
            connection.rollback()
            if "locked" not in str(error.orig) or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _copy_sqlite(connection: Connection, url: str, revision: str) -> None:
    if make_url(url).get_backend_name() == "sqlite":
        copy = Path(str(make_url(url).database)).with_suffix(f".before-{revision}.db")
        copy.unlink(missing_ok=True)
        connection.exec_driver_sql("VACUUM INTO ?", (str(copy),))
        connection.commit()


def _current(connection: Connection) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    return revision


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    return config
