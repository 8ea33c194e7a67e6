"""The page in a frame of another site, behind a proxy, in a real browser: with cookies, and where none are kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from core.client import Workbench
from core.ids import new_id
from core.migrate import migrate
from core.modes import Mode
from core.settings import Settings
from tests.space.conftest import SECRET
from tests.space.proxy import Proxy
from tests.support import served_page
from tests.web.fake_worker import FakeWorker


@pytest.fixture(scope="module")
def settings_here(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Settings:
    home = tmp_path_factory.mktemp("space")
    settings = Settings(
        home=home,
        redis_url=redis_server,
        redis_prefix=f"wbtest-{new_id().lower()}",
        port=0,
        mode=Mode.PUBLIC,
        secret=SECRET,
        proxies=1,
        url="https://localhost",
        frames="http://127.0.0.1:*",
    )
    migrate(settings.database)
    return settings


@pytest.fixture(scope="module")
def bench(settings_here: Settings) -> Iterator[Workbench]:
    worker = FakeWorker(settings_here, pause_s=0.01)
    worker.start()
    opened = Workbench.open(settings_here)
    yield opened
    opened.close()
    worker.stop()


@pytest.fixture(scope="module")
def served(settings_here: Settings) -> Iterator[str]:
    with served_page(settings_here) as address:
        yield address


class _Outer(BaseHTTPRequestHandler):
    """A page of another site with a frame in it: /?PORT is what is framed."""

    def do_GET(self) -> None:
        port = self.path.partition("?")[2]
        frame = f"<iframe src='http://localhost:{port}/' style='border:0;width:100%;height:1200px'>"
        page = f"<!doctype html><body style='margin:0'>{frame}"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def outer() -> Iterator[str]:
    """The other site: 127.0.0.1 is another one than localhost."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Outer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(params=["cookies", "no cookies"])
def proxy(request: pytest.FixtureRequest, served: str) -> Iterator[Proxy]:
    started = Proxy(served, takes_cookies=request.param == "no cookies")
    started.start()
    yield started
    started.stop()


def _inside(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_visitor_asks_in_a_frame_and_finds_it_again(
    browser: Browser,
    bench: Workbench,
    outer: str,
    proxy: Proxy,
    width: int,
    tmp_path: Path,
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{outer}/?{proxy.port}")
    frame = _inside(page)
    n_before = bench.count()
    frame.locator("textarea").first.fill("Why is the sky blue?")
    frame.locator("#send").click()
    expect(frame.locator("text=That is all there is to say.").first).to_be_visible()
    assert bench.count() == n_before + 1
    asked = bench.list()[0]
    assert asked.owner.startswith("visitor-")
    frame.get_by_role("link", name="Runs", exact=True).click()
    expect(frame.locator("[data-row], tr, .run, article").filter(has_text="Why is the sky blue?").first).to_be_visible()
    inner = next(one for one in page.frames if f":{proxy.port}" in one.url)
    assert inner.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=str(tmp_path / "frame.png"))
    assert errors == []
    context.close()


def test_no_other_site_may_frame_a_page_that_is_not_public(
    browser: Browser,
    outer: str,
    tmp_path: Path,
    redis_server: str,
) -> None:
    settings = Settings(home=tmp_path, redis_url=redis_server, redis_prefix=f"wbtest-{new_id().lower()}", port=0)
    migrate(settings.database)
    with served_page(settings) as address:
        page = browser.new_page()
        page.goto(f"{outer}/?{address.rpartition(':')[2]}")
        page.wait_for_timeout(1000)
        assert not any("LLM Workbench" in (frame.title() or "") for frame in page.frames[1:])
        page.close()
