"""What the workbench adds to the model's own time, seen by a viewer of the page's socket.

    python -m benchmarks.overhead --home ~/.local/share/workbench --jobs 40

Three parts of a job's life: submitted to claimed; claimed to its first token on the socket, less the model's own time
to that token; its last token to `succeeded` on the socket. Once idle, and once with 50 jobs waiting behind it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from websockets.sync.client import connect

from benchmarks.figures import line
from benchmarks.stage import Stage, stage
from core.client import Workbench

PROMPT = {"prompt": "Name a colour.", "temperature": 0.0, "max_new_tokens": 6}


@dataclass
class Life:
    """Seconds of one job."""

    to_claim: float
    to_first_token: float
    to_end: float

    @property
    def own(self) -> float:
        return self.to_claim + self.to_first_token + self.to_end


def live(running: Stage, priority: int) -> Life:
    """Submit one job and watch it as a page does."""
    begin = time.time()
    job = running.workbench.submit("generate", PROMPT, priority=priority)
    first = last = ended = 0.0
    with connect(f"{running.url.replace('http', 'ws')}/ws/jobs/{job.id}") as viewer:
        while not ended:
            message, at = json.loads(viewer.recv(timeout=60)), time.time()
            if message["type"] == "text" and message["text"]:
                first, last = first or at, at
            elif message["type"] == "end":
                ended = at
    return _account(running.workbench, job.id, begin, first, last, ended)


def _account(workbench: Workbench, job_id: str, begin: float, first: float, last: float, ended: float) -> Life:
    job = workbench.show(job_id)
    claimed = next(event.at for event in workbench.events(job_id) if event.kind == "claimed")
    model_s = next(m.value for m in job.measurements if m.name == "time_to_first_token_s")
    return Life(claimed - begin, first - claimed - model_s, ended - last)


def measure(running: Stage, n_jobs: int, name: str, priority: int = 0) -> None:
    lives = [live(running, priority) for _ in range(n_jobs)]
    print(f"-- {name}")
    print(line("submit to claimed", [each.to_claim for each in lives]))
    print(line("claimed to first token, less the model's time", [each.to_first_token for each in lives]))
    print(line("last token to succeeded on the socket", [each.to_end for each in lives]))
    print(line("all of the workbench's own part", [each.own for each in lives]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="a home in which the built-in model is unpacked")
    parser.add_argument("--jobs", type=int, default=40)
    arguments = parser.parse_args()
    with stage(arguments.home, preload=True, slots=2) as running:
        live(running, 0)  # the model loads
        measure(running, arguments.jobs, "idle")
        with _fifty_waiting(running):
            measure(running, arguments.jobs, "50 jobs waiting, one of two slots free", priority=10)


@contextmanager
def _fifty_waiting(running: Stage) -> Iterator[None]:
    """One of the two slots is held by a long job, and 50 rows and messages wait for as long as is measured."""
    workbench = running.workbench
    blocker = workbench.submit("quick", {"seconds": 600}).id
    waiting = [workbench.submit("long", {"seconds": 1}).id for _ in range(50)]  # no batch worker runs here
    yield
    for job_id in (blocker, *waiting):
        workbench.cancel(job_id)


if __name__ == "__main__":
    main()
