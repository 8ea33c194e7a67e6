"""What the doors cost: of a request the rule that says who asks, of a sign-in the hash of the password.

    python -m benchmarks.doors --requests 2000 --sign-ins 20

The same small answer, called in this process as the server calls it, alone, behind the doors of local mode, and behind
those of team mode with one session in the cookie: in turns, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.figures import line
from core.accounts import Accounts
from core.errors import NotAllowed
from core.migrate import migrate
from core.modes import Mode
from core.settings import Settings
from core.store import Store
from core.store.users import Role
from web.access import Doors
from web.askers import KNOWN_S, Members, askers

PASSWORD, SECRET, HOST = "correct horse battery", "a secret of a benchmark, as long as it must be", "localhost"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer that everything is measured around."""
    await PlainTextResponse("ok")(scope, receive, send)


async def took(app: ASGIApp, token: str) -> float:
    """Seconds of one request."""
    headers = [(b"host", HOST.encode()), (b"cookie", f"workbench={token}".encode())]
    scope: Scope = {
        "type": "http", "method": "GET", "path": "/runs", "query_string": b"", "headers": headers,
        "client": ("127.0.0.1", 1), "state": {},
    }  # fmt: skip
    status = 0

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    begin = time.perf_counter()
    await app(scope, receive, send)
    assert status == 200, status
    return time.perf_counter() - begin


async def measure_rule(settings: Settings, accounts: Accounts, token: str, n: int) -> None:
    """Alone, behind the doors of each mode, and where the session is read from the store."""
    members = askers(settings, accounts)
    assert isinstance(members, Members)
    local = settings.model_copy(update={"mode": Mode.LOCAL})
    apps: dict[str, ASGIApp] = {
        "alone": answer,
        "behind the doors, local mode": Doors(answer, local, ["/runs"], askers(local, accounts)),
        "behind the doors, team mode": Doors(answer, settings, ["/runs"], members),
    }
    found: dict[str, list[float]] = {name: [] for name in apps}
    for app in apps.values():
        await took(app, token)
    for _ in range(n):
        for name, app in apps.items():
            found[name].append(await took(app, token))
    for name, times in found.items():
        print(line(name, times, "us", 1e6))
    for name, app in apps.items():
        begin = time.process_time()
        for _ in range(n):
            await took(app, token)
        print(f"{name}, of the processor: {(time.process_time() - begin) / n * 1e6:.1f} us a request (n={n})")
    first = []
    for _ in range(min(n, 200)):
        members.forget(token)
        first.append(await took(apps["behind the doors, team mode"], token))
    print(line(f"… the session read anew, once in {KNOWN_S:.0f} s a browser", first, "us", 1e6))


def measure_sign_in(accounts: Accounts, n: int) -> None:
    """One that succeeds and one that does not."""
    accounts.sign_in("ann", PASSWORD)
    tries = {
        "sign-in (Argon2id)": ("ann", PASSWORD),
        "… refused, the password is wrong": ("ann", "wrong"),
        "… refused, nobody is by that name": ("nobody", PASSWORD),
    }
    waited: dict[str, list[float]] = {name: [] for name in tries}
    worked: dict[str, list[float]] = {name: [] for name in tries}
    for n_round in range(n):
        for name, (user, password) in tries.items():
            begin, begin_work = time.perf_counter(), time.process_time()
            with suppress(NotAllowed):
                accounts.sign_in(f"{user}{n_round}" if user == "nobody" else user, password)
            waited[name].append(time.perf_counter() - begin)
            worked[name].append(time.process_time() - begin_work)
    for name in tries:
        print(line(name, waited[name]))
        print(line(f"{name}, of the processor", worked[name]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--sign-ins", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), mode=Mode.TEAM, secret=SECRET)
        migrate(settings.database)
        store = Store.open(settings.database)
        accounts = Accounts(settings, store)
        store.add_user("ann", Role.MEMBER)
        accounts.set_password("ann", PASSWORD)
        token = accounts.sign_in("ann", PASSWORD).token
        asyncio.run(measure_rule(settings, accounts, token, arguments.requests))
        measure_sign_in(accounts, arguments.sign_ins)
        store.close()


if __name__ == "__main__":
    main()
