"""The tables and their history agree, on both databases, however many processes migrate at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import make_url

from core.errors import SetupError, Unavailable
from core.ids import new_id
from core.migrate import _config, check_head, head, migrate, migration_connection, wait_for_head
from core.models import Base
from core.store import Store
from core.store.waiting import Take, Terms
from tests.support import ROOT


def test_models_and_migrations_describe_the_same_tables(database_url: str) -> None:
    with migration_connection(database_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_second_migration_has_nothing_to_do(database_url: str) -> None:
    assert migrate(database_url) is False
    check_head(database_url)


def test_an_empty_database_is_not_worked_on(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="revision none") as refused:
        check_head(f"sqlite:///{tmp_path / 'new.db'}")
    assert "workbench migrate" in refused.value.hint


def test_a_database_of_a_newer_version_is_left_alone(sqlite_url: str) -> None:
    with migration_connection(sqlite_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
        connection.commit()
    with pytest.raises(SetupError, match="does not know"):
        migrate(sqlite_url)


def test_those_who_open_a_new_database_at_once_all_get_in(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    migrate(url)
    with migration_connection(url) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        connection.exec_driver_sql("PRAGMA journal_mode=DELETE")  # as in a copy that was put back
    stores = [Store.open(url) for _ in range(8)]

    def use(store: Store) -> int:
        migrate(url)
        return len(store.artifact_ids())

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, stores)) == [0] * 8
    for store in stores:
        store.close()


def test_four_processes_that_migrate_at_once_do_it_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    code = f"from core.migrate import migrate; print(migrate({url!r}))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert said == ["False", "False", "False", "True"]


def test_waiting_for_a_migration_ends_when_somebody_has_done_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'late.db'}"
    process = subprocess.Popen([sys.executable, "-c", f"from core.migrate import migrate; migrate({url!r})"], cwd=ROOT)
    wait_for_head(url, patience_s=60)
    assert process.wait() == 0
    with migration_connection(url) as connection:
        assert MigrationContext.configure(connection).get_current_revision() == head()


def test_a_database_that_does_not_answer_is_said_in_a_sentence() -> None:
    with pytest.raises(Unavailable, match=r"database .* does not answer"):
        check_head("postgresql+psycopg://nobody:secret@127.0.0.1:1/none")


def test_a_home_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be made"):
        migrate(f"sqlite:///{tmp_path / 'file' / 'home' / 'workbench.db'}")


def test_a_filled_database_of_the_first_revision_keeps_its_jobs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    _filled_at_0001(url)
    migrate(url)
    store = Store.open(url)
    job = store.job("01K00000000000000000000001")
    assert (job.name, job.waiting_reason, job.measurements[0].predicted) == ("an old job", "", None)
    taken = store.claim("interactive", "w", 30, terms=Terms((Take("", 0, is_ready=True),), 20))
    assert taken is not None
    assert taken.job_id == "01K00000000000000000000002"
    store.close()


def test_a_filled_postgresql_of_the_first_revision_keeps_its_jobs(postgresql_url: str) -> None:
    schema = f"wbold_{new_id().lower()}"
    server = make_url(postgresql_url).set(query={}, drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            url = f"{server}?options=-csearch_path%3D{schema}".replace("postgresql://", "postgresql+psycopg://")
            _filled_at_0001(url)
            migrate(url)
            store = Store.open(url)
            assert store.job("01K00000000000000000000001").measurements[0].value == 7
            store.close()
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


def _filled_at_0001(url: str) -> None:
    """A finished job with a measurement and one that waits, in tables as the first version made them."""
    with migration_connection(url) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        common = "'generate', 'interactive', 'me', 'team', 0, '', '', '', '{}', 0"
        columns = "kind, queue, owner, visibility, priority, note, model, words, spec, attempt"
        for number, state, name in ((1, "succeeded", "an old job"), (2, "queued", "one that waits")):
            values = f"'01K0000000000000000000000{number}', '{state}', '{name}', 1.5, {common}"
            connection.execute(text(f"INSERT INTO jobs (id, state, name, created_at, {columns}) VALUES ({values})"))
        job = "'01K00000000000000000000001'"
        connection.execute(text(f"UPDATE jobs SET attempt = 1 WHERE id = {job}"))
        attempt = f"INSERT INTO attempts (job_id, attempt, worker, device, started_at) VALUES ({job}, 1, 'w', '', 1.0)"
        connection.execute(text(attempt))
        figure = f"('01K00000000000000000000003', {job}, 1, 'steps', 7, 'steps', 1)"
        connection.execute(
            text(f"INSERT INTO measurements (id, job_id, attempt, name, value, unit, n) VALUES {figure}")
        )
        worker = "('old', 'interactive', 'h', 1, 'd', 'host', 1, 1, 1, 'a model', 1, 1)"
        named = "id, queue, host, pid, device, memory_kind, memory_total, memory_free, slots, resident"
        connection.execute(text(f"INSERT INTO workers ({named}, started_at, lease_until) VALUES {worker}"))
        connection.commit()
