"""One real browser on one real web process, with a worker that needs no model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Route, expect, sync_playwright

from core.client import Workbench
from core.ids import new_id
from core.migrate import migrate
from core.settings import Settings
from tests.support import served_page
from tests.web.fake_worker import FakeWorker

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LOOKS = [
    ("light", 390), ("dark", 1440),
    *(pytest.param(scheme, width, marks=pytest.mark.nightly) for scheme, width in (("light", 1440), ("dark", 390))),
]  # fmt: skip
"""How a page is looked at: each scheme and each width in px at least once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


expect.set_options(timeout=20_000)  # a condition, however busy the machine is


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        path = found or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium on this machine: the pages were not tested in a browser")
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def bench_settings(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Settings:
    home = tmp_path_factory.mktemp("bench")
    settings = Settings(home=home, redis_url=redis_server, redis_prefix=f"wbtest-{new_id().lower()}", port=0)
    migrate(settings.database)
    return settings


@pytest.fixture(scope="session")
def address(bench_settings: Settings) -> Iterator[str]:
    """Where the page is."""
    with served_page(bench_settings) as served:
        yield served


@pytest.fixture(scope="session")
def worker(bench_settings: Settings) -> Iterator[FakeWorker]:
    started = FakeWorker(bench_settings, pause_s=0.01)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def bench(bench_settings: Settings, worker: FakeWorker) -> Iterator[Workbench]:
    """The same jobs, from Python."""
    opened = Workbench.open(bench_settings)
    yield opened
    opened.close()


class Watched:
    """A browser's window that notes what must not happen: errors, and requests that leave the machine."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.faults: list[str] = []
        self._address = address
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        context.on("request", self._request)
        context.route(lambda url: not url.startswith((address, "data:", "blob:")), self._leaves)

    def page(self, path: str = "/") -> Page:
        page = self.context.new_page()
        page.goto(self._address + path)
        return page

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._address, "data:", "blob:")):
            self.faults.append(f"left the machine: {request.url}")

    def _leaves(self, route: Route) -> None:
        route.abort()


@pytest.fixture
def window(browser: Browser, address: str, bench: Workbench) -> Iterator[Watched]:
    """A window of a person who has not been here before, at 1440 px."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(20_000)
    watched = Watched(context, address)
    yield watched
    context.close()
    assert watched.faults == []
