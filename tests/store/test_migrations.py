"""The tables and their history agree, on both databases, however many processes migrate at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from core.errors import SetupError, Unavailable
from core.migrate import check_head, head, migrate, migration_connection, wait_for_head
from core.models import Base
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
