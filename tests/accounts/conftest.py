"""A team's workbench: three people with passwords, and a browser for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from core.access import Who
from core.accounts import Accounts
from core.client import Workbench
from core.modes import Mode
from core.settings import Settings
from core.store.users import Role
from web.quiet import silence_gradio

ORIGIN = "http://bench.example"
PASSWORD = "correct horse battery"
SECRET = "a secret of a test, as long as it must be"
PEOPLE = {"root": Role.ADMINISTRATOR, "ann": Role.MEMBER, "bob": Role.MEMBER}


@dataclass
class Team:
    """The application in team mode, with whom it knows."""

    bench: Workbench
    accounts: Accounts

    @cached_property
    def app(self) -> ASGIApp:
        """All its pages; who asks for none need not wait until they are made."""
        silence_gradio()
        from web.app import build_app

        return build_app(self.bench)

    def of(self, name: str) -> Workbench:
        """The client of a member."""
        return self.bench.acting_for(Who(name, is_administrator=PEOPLE[name] is Role.ADMINISTRATOR))

    def browser(self, name: str = "") -> TestClient:
        """A browser in which somebody is signed in; nobody, where no name is given."""
        made = TestClient(self.app, base_url=ORIGIN, follow_redirects=False)
        if name:
            answer = made.post("/sign-in", data={"name": name, "password": PASSWORD}, headers={"origin": ORIGIN})
            assert answer.status_code == 303, answer.text
        return made


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    """Hashes of everybody's password: hashing takes its time, and is made once."""
    from argon2 import PasswordHasher

    return dict.fromkeys(PEOPLE, PasswordHasher().hash(PASSWORD))


@pytest.fixture
def team(settings: Settings, workbench: Workbench, passwords: dict[str, str]) -> Team:
    """The team."""
    named = Settings(
        **settings.model_dump(exclude_unset=True)
        | {"mode": Mode.TEAM, "secret": SECRET, "allowed_hosts": "bench.example"}
    )
    bench = Workbench(named, workbench.store, Who("nobody"))
    for name, role in PEOPLE.items():
        bench.store.add_user(name, role)
        bench.store.set_password(name, passwords[name])
    return Team(bench, Accounts(named, bench.store))
