"""From a click to the first token: on a resident model, on one that must be loaded, on one that must push another out.

    python -m benchmarks.first_token --home ~/.local/share/workbench --repeats 10

A click is a submit; the first token is there when whoever watches the job reads text. The model is the built-in one,
whose precisions stand for different models; the worker has room for one of them at a time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import line
from benchmarks.stage import stage
from core.client import Workbench
from tests.support import eventually

ROOM_BYTES = 750_000_000  # for one of them in float32 or bfloat16, with its work, and not for both


def first_token_s(client: Workbench, dtype: str) -> float:
    """Seconds from the submit of a short job to its first text."""
    began_s = time.perf_counter()
    spec = {"prompt": "Say one word.", "max_new_tokens": 1, "temperature": 0.0, "dtype": dtype}
    job = client.submit("generate", spec)
    for update in client.watch(job.id):
        if update.text:
            taken_s = time.perf_counter() - began_s
            eventually(lambda: client.show(job.id).state.is_finished)
            return taken_s
    raise RuntimeError(f"job {job.id} wrote nothing: {client.show(job.id).error}")


def unload(client: Workbench) -> None:
    for held in client.holdings():
        client.unload(held.key)
    eventually(lambda: not client.holdings())


def rounds(n: int, prepare: Callable[[int], None], measure: Callable[[int], float]) -> list[float]:
    """Measure `n` times, each after its preparation."""
    taken = []
    for each in range(n):
        prepare(each)
        taken.append(measure(each))
    return taken


def main() -> None:
    """Print the three figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="a home with the built-in model")
    parser.add_argument("--repeats", type=int, default=10)
    given = parser.parse_args()
    with stage(given.home.expanduser(), ("interactive",), preload=False, memory_bytes=ROOM_BYTES) as on:
        client = on.workbench
        first_token_s(client, "bfloat16")  # libraries are imported once
        other = ("float32", "bfloat16")
        print(line("resident", rounds(given.repeats, lambda _: None, lambda _: first_token_s(client, "bfloat16"))))
        for dtype in other:
            taken = rounds(given.repeats, lambda _: unload(client), lambda _, d=dtype: first_token_s(client, d))  # type: ignore[misc]
            print(line(f"must be loaded, {dtype}", taken))
        swapped = rounds(given.repeats, lambda _: None, lambda n: first_token_s(client, other[n % 2]))
        for n, dtype in enumerate(other):
            print(line(f"must push another out, {dtype}", swapped[n::2]))


if __name__ == "__main__":
    main()
