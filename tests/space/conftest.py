"""A public workbench, and visitors to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from core.access import Who
from core.client import Workbench
from core.modes import Mode
from core.settings import Settings
from web.quiet import silence_gradio

SECRET = "a secret of a test, as long as it must be"
HOST = "someone-workbench.hf.space"
ORIGIN = f"https://{HOST}"


@dataclass
class Space:
    """The application in public mode."""

    bench: Workbench

    @cached_property
    def app(self) -> ASGIApp:
        """All its pages; who asks for none need not wait until they are made."""
        silence_gradio()
        from web.app import build_app

        return build_app(self.bench)

    def visitor(self, name: str, source: str = "an address") -> Workbench:
        """The client of a visitor."""
        return self.bench.acting_for(Who(name, source=source))

    def browser(self, *, keeps_cookies: bool = True) -> TestClient:
        """A browser that has been here; its cookies are kept or not."""
        made = TestClient(self.app, base_url=ORIGIN, follow_redirects=False)
        if not keeps_cookies:
            made.event_hooks = {"response": [lambda answer: made.cookies.clear()]}
        return made


@pytest.fixture
def space(settings: Settings, workbench: Workbench) -> Space:
    """The Space."""
    usual = settings.model_dump(exclude_unset=True)
    named = Settings(**usual | {"mode": Mode.PUBLIC, "secret": SECRET, "url": ORIGIN, "proxies": 1})
    return Space(Workbench(named, workbench.store))
