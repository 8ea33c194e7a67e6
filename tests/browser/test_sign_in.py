"""Somebody of a team signs in, works, keeps a job to themselves, and is sent to the sign-in when their session ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core.access import Who
from core.accounts import Accounts
from core.client import Workbench
from core.ids import new_id
from core.migrate import migrate
from core.modes import Mode
from core.settings import Settings
from core.store.users import Role
from tests.browser.conftest import Watched
from tests.support import served_page
from tests.web.fake_worker import FakeWorker

PASSWORD = "correct horse battery"


@pytest.fixture
def bench(tmp_path: Path, redis_server: str) -> Iterator[Workbench]:
    """A team's workbench with ann in it, an administrator, and a worker that needs no model."""
    settings = Settings(
        home=tmp_path, redis_url=redis_server, redis_prefix=f"wbtest-{new_id().lower()}", port=0, mode=Mode.TEAM,
        secret="a secret of a test, as long as it must be",
    )  # fmt: skip
    migrate(settings.database)
    opened, worker = Workbench.open(settings), FakeWorker(settings, pause_s=0)
    opened.store.add_user("ann", Role.ADMINISTRATOR)
    Accounts(settings, opened.store).set_password("ann", PASSWORD)
    worker.start()
    yield opened.acting_for(Who("ann", is_administrator=True))
    worker.stop()
    opened.close()


def _signed_in(page: Page) -> None:
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_member_signs_in_works_keeps_a_job_private_and_is_signed_out(browser: Browser, bench: Workbench) -> None:
    with served_page(bench.settings) as address:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(60_000)
        watched = Watched(context, address)
        page = watched.page("/")
        assert page.url == f"{address}/sign-in"
        _signed_in(page)
        expect(page.locator(".wb-bar").get_by_role("link", name="ann")).to_have_attribute("href", "/account")
        page.get_by_label("Message").fill("Why is the sky blue?")
        page.locator("#send").click()
        expect(page).to_have_url(re.compile(r"job="))
        (job,) = bench.list()
        assert job.owner == "ann"

        page.goto(f"{address}/runs?job={job.id}")
        page.get_by_role("button", name="Make private").click()
        expect(page.get_by_role("button", name="Share with the team")).to_be_visible()
        expect(page.locator('[data-part="title"]')).to_contain_text("ann · private")
        assert bench.show(job.id).visibility == "private"

        other = watched.page("/account")
        other.get_by_role("button", name="Sign out").click()
        expect(other).to_have_url(f"{address}/sign-in")
        expect(page).to_have_url(re.compile(rf"/sign-in\?next=.*{job.id}"))  # its socket was closed
        _signed_in(page)
        expect(page).to_have_url(f"{address}/runs?job={job.id}")
        expect(page.get_by_role("button", name="Share with the team")).to_be_visible()

        bench.store.end_sessions("ann")  # from elsewhere: the open page is cut off by itself
        expect(page).to_have_url(re.compile(r"/sign-in"))
        context.close()
        assert [one for one in watched.faults if "401" not in one] == []
