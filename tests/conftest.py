"""Real databases and a real Redis for every test: SQLite always, PostgreSQL and a given Redis where they answer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import text

from core.broker import OwnBroker
from core.client import Workbench
from core.ids import new_id
from core.migrate import migrate
from core.models import Base
from core.settings import Settings
from core.store import Store
from core.store.database import Database

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in a worker; it counts only before torch is imported
POSTGRESQL = os.environ.get("WORKBENCH_TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/test")
REDIS = os.environ.get("WORKBENCH_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WORKBENCH_") and "TEST" not in name]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def models_home() -> Path:
    """A home with the built-in model. It outlives the run: unpacking takes half a minute."""
    from core.llm.unpack import unpack_builtin

    given = os.environ.get("WORKBENCH_TEST_MODELS", "~/.cache/llm-workbench-tests")
    home = Path(given).expanduser().absolute()
    unpack_builtin(home, lambda fraction, message: None)
    return home


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis: the given one where it answers, else an own Valkey."""
    try:
        redis.Redis.from_url(REDIS, socket_timeout=2, socket_connect_timeout=2).ping()
    except redis.RedisError:
        broker = OwnBroker.start(tmp_path_factory.mktemp("broker"))
        yield broker.url
        broker.stop()
    else:
        yield REDIS


@pytest.fixture
def redis_prefix(redis_server: str) -> Iterator[str]:
    """A prefix of this test's own, below which nothing is left."""
    prefix = f"wbtest-{new_id().lower()}"
    yield prefix
    client = redis.Redis.from_url(redis_server)
    for key in client.scan_iter(f"{prefix}:*", count=1000):
        client.delete(key)
    client.close()


@pytest.fixture(scope="session")
def _migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "workbench.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _postgresql_schema() -> Iterator[str]:
    """The URL of a schema of this run's own; "" where no PostgreSQL answers."""
    schema = f"wbtest_{new_id().lower()}"
    try:
        connection = psycopg.connect(POSTGRESQL, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        yield ""
        return
    with connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        url = f"{POSTGRESQL}?options=-csearch_path%3D{schema}".replace("postgresql://", "postgresql+psycopg://")
        migrate(url)
        yield url
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def sqlite_url(tmp_path: Path, _migrated_file: Path) -> str:
    path = tmp_path / "home" / "workbench.db"
    path.parent.mkdir(exist_ok=True)
    shutil.copy(_migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(_postgresql_schema: str) -> Iterator[str]:
    if not _postgresql_schema:
        pytest.skip("no PostgreSQL answers at WORKBENCH_TEST_DATABASE_URL")
    yield _postgresql_schema
    database = Database(_postgresql_schema)
    with database.write() as connection:
        connection.execute(text("TRUNCATE " + ", ".join(table.name for table in Base.metadata.sorted_tables)))
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty, migrated database: the test runs once on each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str, redis_server: str, redis_prefix: str) -> Settings:
    """A home of the test's own on SQLite, with the kinds that live in the tests."""
    return Settings(
        home=tmp_path / "home",
        redis_url=redis_server,
        redis_prefix=redis_prefix,
        extra_kinds="tests.kinds",
        port=0,
        preload=False,
        lease_s=3,
        sweep_s=0.3,
    )


@pytest.fixture
def workbench(settings: Settings) -> Iterator[Workbench]:
    opened = Workbench.open(settings)
    yield opened
    opened.close()
