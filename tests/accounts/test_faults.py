"""Faults with several people: sessions that end, users and workers that go, sockets that only listen."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from starlette.testclient import TestClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import State as Connection

from core.policy import TEXTS
from core.states import State
from tests.accounts.conftest import ORIGIN, Team
from tests.accounts.people import until_closed
from tests.queue.test_life import ended, in_state, worker
from tests.support import served_page

FROM_HERE = {"origin": ORIGIN}
NASTY = '<script>window.pwned=1</script>"><img src=x onerror=alert(1)>'
SOCKET = "ws://bench.example/ws/jobs"
PLAIN_FIELDS = TEXTS | {"log", "text", "trouble", "like", "fresh_from"}
"""Beside those that hold words alone: fields of the kinds of the tests."""


def test_the_socket_of_somebody_who_is_signed_out_or_removed_is_closed(team: Team) -> None:
    ann, bob, root = team.browser("ann"), team.browser("bob"), team.browser("root")
    job = team.of("bob").submit("long", {"text": "bob's"})
    others = team.of("root").submit("long", {"text": "root's"})
    with TestClient(team.app, base_url=ORIGIN) as browser:

        def opened(of: TestClient) -> Any:
            browser.cookies = dict(of.cookies)
            return browser.websocket_connect(SOCKET, headers=FROM_HERE)

        with opened(ann) as of_ann, opened(bob) as of_bob, opened(root) as of_root:
            for socket in (of_ann, of_bob, of_root):
                socket.receive_text()
            ann.post("/account/sign-out", headers=FROM_HERE)
            assert "cancelled: 1" in root.post("/users/remove", data={"name": "bob"}, headers=FROM_HERE).text
            begin = time.monotonic()
            assert [until_closed(one)[1] for one in (of_ann, of_bob)] == [4401, 4401]
            assert time.monotonic() - begin < 20, "three seconds, on a machine that does nothing else"
            team.of("root").describe(others.id, note="go on")
            assert of_root.receive_text()
    assert team.bench.store.job(job.id).state == "cancelled"
    assert team.bench.store.job(others.id).state == "queued"


def test_a_job_that_runs_ends_with_its_owner_and_others_go_on(team: Team) -> None:
    bench = team.of("root")
    with worker(bench.settings, "interactive"):
        theirs = team.of("bob").submit("quick", {"seconds": 60})
        mine = team.of("ann").submit("quick", {"seconds": 60})
        in_state(bench, theirs, State.RUNNING)
        in_state(bench, mine, State.RUNNING)
        bench.remove_user("bob")
        in_state(bench, theirs, State.CANCELLED)
        assert bench.show(mine.id).state is State.RUNNING
        bench.cancel(mine.id)
        in_state(bench, mine, State.CANCELLED)


def test_when_a_worker_is_killed_while_two_wait_both_are_served_in_turns(team: Team) -> None:
    ann, bob, root = team.of("ann"), team.of("bob"), team.of("root")
    first = ann.submit("long", {"seconds": 1.0})
    anns, bobs = [ann.submit("long", {}) for _ in range(2)], [bob.submit("long", {}) for _ in range(2)]
    with worker(root.settings, "batch") as doomed:
        in_state(root, first, State.RUNNING)
        os.kill(doomed.pid, signal.SIGKILL)
        with worker(root.settings, "batch"):
            over = [ended(root, job) for job in (first, *anns, *bobs)]
    assert {job.state for job in over} == {State.SUCCEEDED}
    assert over[0].attempt == 2
    claims = sorted((root.attempts(job.id)[-1].started_at, job.owner) for job in over)
    owners = [owner for _, owner in claims]
    assert set(owners[:2]) == {"ann", "bob"} == set(owners[2:4]), owners


def test_a_thousand_idle_sockets_and_slow_readers_keep_nobody_from_their_page(team: Team) -> None:
    token = team.browser("ann").cookies["workbench"]
    settings = team.bench.settings.model_copy(update={"allowed_hosts": ""})
    for _ in range(40):
        team.of("ann").submit("long", {"text": "a row of the list " * 40})
    with served_page(settings) as address, ThreadPoolExecutor(1) as apart:  # here a browser's tests may run a loop
        before, during = apart.submit(asyncio.run, _crowded(address, token)).result()
    assert during < max(10 * before, 3.0), f"{before:.3f} s before, {during:.3f} s with 1,000 sockets"


async def _crowded(address: str, token: str) -> tuple[float, float]:
    """The median time of a page before and while 1,000 sockets are held, of which 100 never read a word."""
    cookie = {"cookie": f"workbench={token}"}
    async with httpx.AsyncClient(base_url=address, headers=cookie, timeout=120) as client:
        before = await _median_s(client)
        opened = []
        for n in range(1000):
            path, reads = f"{address.replace('http', 'ws')}/ws/jobs?bar={'true' if n >= 100 else 'false'}", n >= 100
            opened.append(await _opened(path, cookie | {"origin": address}, reads))
        during = await _median_s(client)
        assert sum(one.state is Connection.OPEN for one in opened) == 1000
        for one in opened:
            one.transport.abort()
    return before, during


async def _opened(path: str, headers: dict[str, str], reads: bool) -> ClientConnection:
    made = await connect(path, additional_headers=headers, open_timeout=120, ping_interval=None, max_queue=1)
    if reads:
        await made.recv()
    else:
        made.transport.pause_reading()
    return made


async def _median_s(client: httpx.AsyncClient) -> float:
    times = []
    for _ in range(9):
        begin = time.monotonic()
        assert (await client.get("/runs")).status_code == 200
        times.append(time.monotonic() - begin)
    return statistics.median(times)
