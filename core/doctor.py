"""`workbench doctor`: looks at every part, and says of each what is wrong and how to mend it. It changes nothing."""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from core import __version__, broker, preflight
from core.cards import gigabytes, read_cards
from core.catalog import BUILTIN_NAME, builtin_is_ready
from core.errors import SetupError, WorkbenchError
from core.modes import Mode, is_loopback, unsafe
from core.settings import Settings
from core.valkey import server_binary

NEEDED = ("gradio", "fastapi", "celery", "redis", "sqlalchemy", "torch", "transformers")
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Check:
    """What was found about one part, and how to mend it."""

    part: str
    status: Literal["ok", "not running", "problem"]
    sentence: str
    mend: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether something is wrong; a part that nobody has started is not."""
        return self.status == "problem"

    def line(self) -> str:
        """The check on one line."""
        return f"{self.part:<9} {self.status:<12} {self.sentence}{' ' + self.mend if self.mend else ''}"


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, one after another as it is made."""
    up = preflight.running_up(settings.run_folder)
    looks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("Python", _python),
        ("Packages", _packages),
        ("Home", lambda: _home(settings)),
        ("Database", lambda: _database(settings)),
        ("Redis", lambda: _redis(settings)),
        ("Model", lambda: _model(settings)),
        ("Device", _device),
        ("Doors", lambda: _doors(settings)),
        ("Page", lambda: _page(settings, up)),
        ("Workers", lambda: _workers(settings, up)),
    )
    for part, look in looks:
        try:
            yield look()
        except WorkbenchError as error:
            yield Check(part, "problem", error.message, error.hint)


def _python() -> Check:
    sentence = f"{platform.python_implementation()} {platform.python_version()}, workbench {__version__}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("Python", "problem", f"{sentence}.", "Use Python 3.11 or later.")
    return Check("Python", "ok", f"{sentence}.")


def _packages() -> Check:
    found, missing = [], []
    for name in NEEDED:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("Packages", "problem", f"Not installed: {', '.join(missing)}.", "Run `make setup`.")
    return Check("Packages", "ok", f"{', '.join(found)}.")


def _home(settings: Settings) -> Check:
    if not settings.home.exists():
        with contextlib.suppress(IndexError):
            above = next(folder for folder in settings.home.parents if folder.exists())
            if above.is_dir():
                return Check("Home", "not running", f"{settings.home} is not there yet; `workbench up` makes it.")
    preflight.make_home(settings.home)
    free_bytes = preflight.check_space(settings.home)
    return Check("Home", "ok", f"{settings.home}, {gigabytes(free_bytes)} free.")


def _database(settings: Settings) -> Check:
    from sqlalchemy.engine import make_url

    from core.migrate import check_head

    shown = make_url(settings.database).render_as_string(hide_password=True)
    if not settings.database_url and not (settings.home / "workbench.db").exists():
        return Check("Database", "not running", "None has been made yet; `workbench up` makes it.")
    check_head(settings.database)
    return Check("Database", "ok", f"{shown}, up to date.")


def _redis(settings: Settings) -> Check:
    if not settings.redis:
        server_binary()
        return Check("Redis", "not running", "None is given; `workbench up` starts an own one.")
    broker.check(settings.redis)
    kind = "given" if settings.redis_url else "own"
    return Check("Redis", "ok", f"{kind}, at {broker.where(settings.redis)}.")


def _model(settings: Settings) -> Check:
    if builtin_is_ready(settings.home):
        return Check("Model", "ok", f"{BUILTIN_NAME} is unpacked.")
    return Check("Model", "not running", f"{BUILTIN_NAME} is not unpacked yet; `workbench up` does that.")


def _device() -> Check:
    cards = read_cards()
    words = "; ".join(
        f"{card.name}, {gigabytes(card.total_bytes)}, {gigabytes(card.free_bytes)} free" for card in cards
    )
    return Check("Device", "ok", f"{words} ({'GPU' if cards[0].memory_kind == 'gpu' else 'host'} memory).")


def _doors(settings: Settings) -> Check:
    """Who may come in, and what is open to them."""
    for found in unsafe(settings):
        return Check("Doors", "problem", found.reason, found.mend)
    open_to = {
        Mode.LOCAL: f"whoever uses this machine is {settings.user}",
        Mode.TEAM: f"people sign in, {_signs_in(settings)}",
        Mode.PUBLIC: "strangers come in, and each sees only what is theirs",
    }[settings.mode]
    doors = ("uploads", "downloads", "training", "paths")
    named = {True: [], False: []}  # type: dict[bool, list[str]]
    for door in doors:
        named[getattr(settings, door)].append(door)
    words = [f"{said}: {', '.join(which)}" for said, which in (("open", named[True]), ("shut", named[False])) if which]
    sentence = f"{settings.mode} mode, bound to {settings.host}: {open_to}; {'; '.join(words)}."
    if settings.mode is Mode.TEAM and not settings.url.startswith("https://") and not is_loopback(settings.host):
        return Check(
            "Doors",
            "ok",
            sentence,
            "Passwords cross the network in the clear: set WORKBENCH_URL to an https:// address.",
        )
    return Check("Doors", "ok", sentence)


def _signs_in(settings: Settings) -> str:
    from core.cli_common import check_is_there
    from core.store import Store

    with contextlib.suppress(WorkbenchError):
        check_is_there(settings)
        store = Store.open(settings.database)
        try:
            users = [one for one in store.users() if one.removed_at is None]
        finally:
            store.close()
        n = sum(one.role == "administrator" for one in users)
        return f"{len(users)} of them, {n} as administrator" if users else "nobody yet: a start prints a link"
    return "whose number the database does not say"


def _page(settings: Settings, up: preflight.Running | None) -> Check:
    from urllib.parse import urlsplit

    from core.house import answers

    port = urlsplit(up.address).port if up and up.address else settings.port
    if port and answers(settings.host, port):
        return Check("Page", "ok", f"It answers at {up.address if up else f'{settings.host}:{port}'}.")
    if up and up.address:
        return Check(
            "Page", "problem", f"It does not answer at {up.address}.", f"See {settings.home / 'logs/web.log'}."
        )
    if port:
        preflight.free_port(settings.host, port)
    return Check("Page", "not running", f"Port {port or 'of its choice'} is free; `workbench up` starts the page.")


def _workers(settings: Settings, up: preflight.Running | None) -> Check:
    from core.cli_common import check_is_there
    from core.store import Store

    with contextlib.suppress(SetupError):
        check_is_there(settings)
        store = Store.open(settings.database)
        try:
            workers = store.workers()
        finally:
            store.close()
        if workers:
            return Check("Workers", "ok", f"{'; '.join(f'{worker.id} on {worker.device}' for worker in workers)}.")
        if up:
            return Check("Workers", "problem", "None reports itself.", f"See {settings.home / 'logs' / 'worker.log'}.")
    return Check("Workers", "not running", "None runs; `workbench up` or `workbench worker` starts them.")
