"""A public page under many: its cold start, 50 visitors at once, and one who submits without end beside another.

    python -m benchmarks.visitors --visitors 50 --flood 10000

The folder of a Space is made by `deploy/space/build.py`, and its `python app.py` runs twice in one home: cold, when
it unpacks its model first, and warm. Each visitor comes by HTTP with an address and a cookie of their own, submits, and
follows their job by the socket to its last word.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import websockets
from websockets.typing import Origin

from benchmarks.figures import line
from core.access import Who
from core.client import Workbench
from core.settings import Settings

ROOT = Path(__file__).parent.parent
SECRET = "a secret of a benchmark, as long as it must be"
PROMPT = "Why is the sky blue? Answer in two sentences."
N_TOKENS = 32


@contextlib.contextmanager
def space(folder: Path, home: Path) -> Iterator[tuple[str, Workbench, psutil.Process, float]]:
    """A Space: its address, a client on its store, its process, and the seconds until it was ready."""
    log = home / "log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    given = {"HOME": str(home), "WORKBENCH_PORT": "0", "WORKBENCH_SECRET": SECRET, "WORKBENCH_HOST": "127.0.0.1"}
    begin = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=clean | given, stdout=out, stderr=out)
    try:
        while not (found := re.search(r"Page\s+(http://\S+)", log.read_text())) or "Ready." not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        ready_s = time.perf_counter() - begin
        redis_url = (home / "workbench" / "run" / "redis.url").read_text()
        bench = Workbench.open(Settings(home=home / "workbench", mode="public", secret=SECRET, redis_url=redis_url))
        yield found[1], bench, psutil.Process(process.pid), ready_s
        bench.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def visit(address: str, bench: Workbench, number: int) -> tuple[float, float]:
    """One visitor: seconds until the first word of the answer, and until the last."""
    source = f"198.51.{number // 250}.{number % 250 + 1}"
    async with httpx.AsyncClient(base_url=address, headers={"x-forwarded-for": source}, timeout=120) as browser:
        page = await browser.get("/")
        token = page.cookies["workbench"]
        who = Who(token.partition(".")[0], source=source)
        begin = time.perf_counter()
        fields = {"prompt": f"{PROMPT} ({number})", "max_new_tokens": N_TOKENS}
        job = await asyncio.to_thread(bench.acting_for(who).submit, "generate", fields)
        first_s = 0.0
        stream = f"ws{address.removeprefix('http')}/ws/jobs/{job.id}"
        headers = {"cookie": f"workbench={token}", "x-forwarded-for": source}
        async with websockets.connect(stream, additional_headers=headers, origin=Origin(address)) as socket:
            async for message in socket:
                if not first_s and '"type":"text"' in str(message).replace(" ", ""):
                    first_s = time.perf_counter() - begin
        return first_s, time.perf_counter() - begin


def memory_bytes(process: psutil.Process) -> int:
    """What the whole family holds, pages that it shares counted once."""
    family = [process, *process.children(recursive=True)]
    held = 0
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            held += one.memory_full_info().pss
    return held


async def crowd(address: str, bench: Workbench, process: psutil.Process, n: int) -> None:
    """All visitors at once."""
    alone = await visit(address, bench, 10_000)
    print(line("one visitor alone: answer", [alone[1]], "s", 1))
    begin = time.perf_counter()
    visits = asyncio.gather(*(visit(address, bench, number) for number in range(n)))
    peak = 0
    while not visits.done():
        peak = max(peak, await asyncio.to_thread(memory_bytes, process))
        await asyncio.wait([visits], timeout=0.5)
    taken = await visits
    whole_s = time.perf_counter() - begin
    print(line(f"{n} visitors at once: first word", [first for first, _ in taken], "s", 1))
    print(line(f"{n} visitors at once: last word", [last for _, last in taken], "s", 1))
    print(f"answers a minute: {60 * n / whole_s:.1f}; longest wait {max(last for _, last in taken):.1f} s; "
          f"memory of all parts at most {peak / 1e9:.2f} GB")  # fmt: skip


async def flood(address: str, bench: Workbench, n: int) -> None:
    """One visitor's submissions as fast as the page takes them, at most `n` a minute; another's pages and answers."""
    calm = [await other(address, bench, number) for number in range(20)]
    came: Counter[str] = Counter()
    stop = asyncio.Event()
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(
        base_url=address, headers={"x-forwarded-for": "203.0.113.7", "origin": address}, limits=limits, timeout=60
    ) as one:
        await one.get("/")
        sending = _sending((await one.get("/config")).json())

        async def post() -> None:
            while not stop.is_set() and came.total() < n:
                with contextlib.suppress(httpx.HTTPError):
                    body = sending | {"event_data": {"job": "", "key": secrets.token_hex(16)}}
                    came[_became(await one.post("/gradio_api/run/predict", json=body))] += 1
                await asyncio.sleep(20 * 60 / n)

        begin = time.perf_counter()
        posts = [asyncio.create_task(post()) for _ in range(20)]
        await asyncio.sleep(2)
        beside = [await other(address, bench, 100 + number) for number in range(20)]
        await asyncio.sleep(max(0.0, 60 - (time.perf_counter() - begin)))
        stop.set()
        await asyncio.gather(*posts)
        whole_s = time.perf_counter() - begin
    print(f"flood: {came.total()} submissions in {whole_s:.0f} s: {dict(came)}")
    print(line("another's page, calm", [page for page, _ in calm], "s", 3))
    print(line("another's page, beside the flood", [page for page, _ in beside], "s", 3))
    print(line("another's answer, calm", [answer for _, answer in calm], "s", 1))
    print(line("another's answer, beside the flood", [answer for _, answer in beside], "s", 1))
    ratio = statistics.median(a for _, a in beside) / statistics.median(a for _, a in calm)
    print(f"median answer beside the flood: {ratio:.2f} times the calm one")


def _sending(config: dict[str, Any]) -> dict[str, Any]:
    """The call that the Playground's own button makes, with its form as it stands."""
    held = {one["id"]: one["props"] for one in config["components"]}
    (found,) = (
        one
        for one in config["dependencies"]
        if one["targets"][0][1] == "send" and any(held[each].get("elem_id") == "prompt" for each in one["inputs"])
    )
    values = [PROMPT if held[each].get("elem_id") == "prompt" else held[each].get("value") for each in found["inputs"]]
    return {"fn_index": found["id"], "data": values, "trigger_id": found["targets"][0][0], "session_hash": "a"}


def _became(answer: httpx.Response) -> str:
    if answer.status_code == 429:
        return "refused at the door"
    if answer.status_code != 200:
        return f"status {answer.status_code}"
    return "refused in a sentence" if "the most" in answer.text else "taken"


async def other(address: str, bench: Workbench, number: int) -> tuple[float, float]:
    """Seconds of a page, and of an answer from its submission to its last word."""
    begin = time.perf_counter()
    async with httpx.AsyncClient(base_url=address, headers={"x-forwarded-for": "203.0.113.8"}, timeout=60) as browser:
        await browser.get("/")
    page_s = time.perf_counter() - begin
    return page_s, (await visit(address, bench, 5000 + number))[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--flood", type=int, default=10_000, help="submissions a minute; 0: none")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as kept:
        folder, home = Path(kept) / "space", Path(kept) / "home"
        home.mkdir()
        subprocess.run([sys.executable, "deploy/space/build.py", str(folder)], cwd=ROOT, check=True)
        with space(folder, home) as (address, bench, _, ready_s):
            first_s, last_s = asyncio.run(visit(address, bench, 20_000))
            print(line("cold start to ready", [ready_s], "s", 1))
            print(line("cold start to the first word of the first answer", [ready_s + first_s], "s", 1))
            print(line("cold start to its last word", [ready_s + last_s], "s", 1))
        with space(folder, home) as (address, bench, process, ready_s):
            print(line("start to ready, the model unpacked", [ready_s], "s", 1))
            asyncio.run(crowd(address, bench, process, asked.visitors))
            if asked.flood:
                asyncio.run(flood(address, bench, asked.flood))


if __name__ == "__main__":
    main()
