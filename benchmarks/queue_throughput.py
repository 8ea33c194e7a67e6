"""Jobs a second when the work is nothing: the workbench against plain Celery, same broker, same run, in turn.

    python -m benchmarks.queue_throughput --jobs 500 --repeats 5

A workbench job is submitted, claimed, finished and kept; a Celery task is sent and run. Both by 8 threads of one
worker process; the clock runs from the first submission until the last has ended, with the submitter in this process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import redis

from benchmarks.plain_celery import COUNTER, plain_app
from benchmarks.stage import stage
from core.client import Workbench
from core.settings import Settings
from core.store.queries import JobFilter


def main() -> None:
    arguments = _arguments()
    rates: dict[str, list[float]] = {"workbench": [], "celery": []}
    given = {"database_url": arguments.database} if arguments.database else {}
    with stage(parts=("interactive", "plain"), slots=8, preload=False, **given) as ours:
        plain_once, ours_once = _celery(ours.settings, 20), _workbench(ours.workbench, 20)
        print(f"warm-up: workbench {ours_once:.0f}, plain Celery {plain_once:.0f} jobs/s")
        for _ in range(arguments.repeats):
            rates["workbench"].append(_workbench(ours.workbench, arguments.jobs))
            rates["celery"].append(_celery(ours.settings, arguments.jobs))
    _print(rates, arguments.jobs)


def _workbench(workbench: Workbench, n_jobs: int) -> float:
    before = workbench.count(JobFilter(state="succeeded"))

    def submit() -> None:
        for _ in range(n_jobs):
            workbench.submit("quick", {})

    return n_jobs / _timed(submit, lambda: workbench.count(JobFilter(state="succeeded")) >= before + n_jobs)


def _celery(settings: Settings, n_jobs: int) -> float:
    client = redis.Redis.from_url(settings.redis)
    app = plain_app(settings)
    key = f"{settings.redis_prefix}:{COUNTER}"
    client.delete(key)

    def submit() -> None:
        for n in range(n_jobs):
            app.send_task("plain.nothing", args=[str(n)], queue="plain", ignore_result=True)

    return n_jobs / _timed(submit, lambda: int(client.get(key) or 0) >= n_jobs)


def _timed(submit: Callable[[], None], is_done: Callable[[], bool]) -> float:
    begin = time.perf_counter()
    submit()
    while not is_done():
        time.sleep(0.005)
    return time.perf_counter() - begin


def _print(rates: dict[str, list[float]], n_jobs: int) -> None:
    for name, values in rates.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(
            f"{name:10} median {statistics.median(values):6.0f} jobs/s, n={len(values)} x {n_jobs}, stdev {spread:.0f}"
        )
    ratios = [ours / plain for ours, plain in zip(rates["workbench"], rates["celery"], strict=True)]
    print(f"ratio      median {statistics.median(ratios):.2f} (workbench / plain Celery, pair by pair)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--database", default="", help="URL of an empty PostgreSQL database; else SQLite")
    return parser.parse_args()


if __name__ == "__main__":
    main()
