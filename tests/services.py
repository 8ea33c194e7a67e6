"""Which services and browser a test run finds here. `python -m tests.services` says so, before `make test` begins."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import redis
from playwright.sync_api import sync_playwright

from core.broker import where
from tests.conftest import POSTGRESQL, REDIS

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The browser that the tests of the pages drive, chosen as they choose it."""
    if found := next(filter(None, map(shutil.which, BROWSERS)), None):
        return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


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
