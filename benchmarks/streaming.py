"""How soon a token reaches its viewers, and what page requests feel of it.

    python -m benchmarks.streaming --viewers 1000 --jobs 100 --seconds 20

Each of `jobs` writers makes 10 tokens a second through the same publisher as a worker; all `viewers` follow the first
job over WebSockets, one more follows each of the others, and 20, spread over the jobs, measure. A token carries the
time at which it was made. Page requests go on meanwhile. Writers, viewers and the page share this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import re
import select
import socket
import time

import httpx
import psutil
from websockets.asyncio.client import connect

from benchmarks.figures import line
from benchmarks.stage import Stage, stage
from core.store.claims import Claim
from core.stream import Keys
from worker.publisher import Publisher

TOKENS_PER_S = 10
MEASURED = 20
HANDSHAKE = (
    "GET /ws/jobs/{job} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
STAMP = re.compile(r"<(\d+\.\d+)>")


def write(redis_url: str, prefix: str, claims: list[Claim], seconds: float) -> None:
    """Make tokens for every job until the time is over."""
    publisher, pause = Publisher(redis_url, Keys(prefix)), 1 / TOKENS_PER_S / len(claims)
    end, turn = time.time() + seconds, time.perf_counter()
    while time.time() < end:
        for claim in claims:
            publisher.write(claim.job_id, claim.attempt, f"<{time.time():.4f}>")
            turn += pause
            time.sleep(max(0.0, turn - time.perf_counter()))
    publisher.close()


async def view(url: str, job_id: str, until: float) -> list[float]:
    """Follow a job; the seconds between the making of each token and its arrival."""
    lags: list[float] = []
    async with connect(f"{url.replace('http', 'ws')}/ws/jobs/{job_id}", open_timeout=60, max_size=None) as viewer:
        while (left := until - time.time()) > 0:
            try:
                message = json.loads(await asyncio.wait_for(viewer.recv(), left))
            except TimeoutError:
                break
            if message["type"] == "text":
                lags += [time.time() - float(stamp) for stamp in STAMP.findall(message["text"])]
    return lags


async def watch_all(url: str, jobs: list[str], until: float) -> list[float]:
    lags = await asyncio.gather(*(view(url, job, until) for job in jobs))
    return [lag for each in lags for lag in each]


def measured_viewers(url: str, jobs: list[str], until: float, results: multiprocessing.Queue[list[float]]) -> None:
    results.put(asyncio.run(watch_all(url, jobs, until)))


def crowd(url: str, jobs: list[str], until: float) -> None:
    """Viewers that take what comes and do not look at it: as Python, 1,000 that look would need a core of their own."""
    host, port = url.removeprefix("http://").split(":")
    poll, sockets = select.epoll(), {}
    for job in jobs:
        viewer = socket.create_connection((host, int(port)), timeout=60)
        viewer.sendall(HANDSHAKE.format(job=job, host=host, port=port).encode())
        sockets[viewer.fileno()] = viewer
        poll.register(viewer.fileno(), select.EPOLLIN)
        time.sleep(0.004)  # browsers do not all arrive in one millisecond
    while (left := until - time.time()) > 0:
        for number, _ in poll.poll(left):
            if not sockets[number].recv(1 << 16):
                raise ConnectionError("the page has closed the socket of a viewer")


def ask_pages(url: str, until: float) -> list[float]:
    """The seconds that the page's own document takes, asked five times a second."""
    taken = []
    with httpx.Client() as client:
        while time.time() < until:
            begin = time.perf_counter()
            client.get(f"{url}/").raise_for_status()
            taken.append(time.perf_counter() - begin)
            time.sleep(0.2)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    with stage(parts=("web",)) as running:
        claims = _claims(running, arguments.jobs)
        audience = [claims[0].job_id] * arguments.viewers + [claim.job_id for claim in claims[1:]]
        _measure(running, claims, audience, arguments.seconds)


def _measure(running: Stage, claims: list[Claim], audience: list[str], seconds: float) -> None:
    web, settings = psutil.Process(running.processes["web"]), running.settings
    print(line("page document before, nobody watches", ask_pages(running.url, time.time() + 5)))
    arrive_s = 0.008 * len(audience) + 3
    until = time.time() + arrive_s + seconds
    results: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    looked_at = [claims[n % len(claims)].job_id for n in range(MEASURED)]
    others = [
        multiprocessing.Process(target=crowd, args=(running.url, audience, until)),
        multiprocessing.Process(target=measured_viewers, args=(running.url, looked_at, until, results)),
    ]
    for process in others:
        process.start()
    time.sleep(arrive_s)
    writing = (settings.redis, settings.redis_prefix, claims, until - time.time() - 1)
    others.append(multiprocessing.Process(target=write, args=writing))
    others[-1].start()
    cpu, begin = web.cpu_times(), time.time()
    pages = ask_pages(running.url, until - 1)
    used = web.cpu_times()
    share = (used.user + used.system - cpu.user - cpu.system) / (time.time() - begin)
    lags = results.get()
    for process in others:
        process.join()
        if process.exitcode:
            raise SystemExit("one of the processes that watch or write has failed")
    print(line(f"token to viewer, {len(audience)} viewers, {len(claims)} jobs x {TOKENS_PER_S}/s", lags))
    print(line("page document meanwhile", pages))
    print(f"web meanwhile: {share:.2f} of a core, {web.memory_info().rss / 1e6:.0f} MB resident")


def _claims(running: Stage, n_jobs: int) -> list[Claim]:
    for _ in range(n_jobs):
        running.workbench.submit("quick", {"seconds": 600})
    claims = [running.workbench.store.claim("interactive", "bench", 3600) for _ in range(n_jobs)]
    return [claim for claim in claims if claim]


if __name__ == "__main__":
    main()
