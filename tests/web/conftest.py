"""What tests of the web side share: a client on a store, and the whole application without a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from core.access import Who
from core.client import Workbench
from core.settings import Settings
from tests.web.fake_worker import FakeWorker
from web.askers import Asker, Owner
from web.quiet import silence_gradio

ORIGIN = "http://localhost"


@pytest.fixture
def app(workbench: Workbench) -> ASGIApp:
    """The application behind its doors."""
    silence_gradio()
    from web.app import build_app

    return build_app(workbench)


@pytest.fixture
def web(app: ASGIApp) -> Iterator[TestClient]:
    """A browser's requests, with the application's life around them."""
    with TestClient(app, base_url=ORIGIN) as client:
        yield client


class _Member(Owner):
    """Somebody who is no administrator, as in a team."""

    def __init__(self, settings: Settings) -> None:
        self._asker = Asker(Who(settings.user))


@pytest.fixture
def member(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The requests of somebody who is no administrator."""
    silence_gradio()
    from web import app as made

    monkeypatch.setattr(made, "askers", lambda settings, _accounts: _Member(settings))
    with TestClient(made.build_app(workbench), base_url=ORIGIN) as client:
        yield client


@pytest.fixture
def fake_worker(settings: Settings) -> Iterator[FakeWorker]:
    """A worker that answers at once."""
    worker = FakeWorker(settings, pause_s=0)
    worker.start()
    yield worker
    worker.stop()
