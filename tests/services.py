"""Which services and browser a test run finds here. `python -m tests.services` says so, before `make test` begins."""

from __future__ import annotations

import os
import shutil

import psycopg
import redis

from core.broker import where
from tests.conftest import POSTGRESQL, REDIS

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The browser that tests drive: WORKBENCH_TEST_CHROMIUM, else one on the path."""
    given = os.environ.get("WORKBENCH_TEST_CHROMIUM")
    return given or next(filter(None, map(shutil.which, BROWSERS)), None)


def main() -> None:
    """Print one line for each."""
    print("SQLite:     used always")
    print(f"PostgreSQL: {_postgresql()}")
    print(f"Redis:      {_redis()}")
    print(f"Chromium:   {chromium() or 'not found: the browser tests are skipped'}")


def _postgresql() -> str:
    address = where(POSTGRESQL)
    try:
        psycopg.connect(POSTGRESQL, connect_timeout=3).close()
    except psycopg.Error:
        return f"none answers at {address}: its tests are skipped (WORKBENCH_TEST_DATABASE_URL names another)"
    return f"used at {address}, in a schema of this run's own"


def _redis() -> str:
    address = where(REDIS)
    try:
        redis.Redis.from_url(REDIS, socket_timeout=2, socket_connect_timeout=2).ping()
    except redis.RedisError:
        return f"none answers at {address}: an own Valkey is used (WORKBENCH_TEST_REDIS_URL names another)"
    return f"used at {address}, below prefixes of this run's own"


if __name__ == "__main__":
    main()
