"""The engine against plain `generate`, on the built-in model: tokens per second and time to the first token.

    python -m benchmarks.engine --repeats 5

Every repeat runs all ways once, in turn, so that a machine that gets slower slows all of them; processor time a token
hardly changes when others use the machine too. Queue, stream and page are measured elsewhere.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import line

if TYPE_CHECKING:
    from core.llm.engine import Engine
    from core.llm.loading import LoadedModel

TOPICS = ("the sea", "a clock", "two mice", "winter", "a lost key", "bread", "the moon", "an old map")
USUAL = {"temperature": 0.7, "top_p": 0.95, "top_k": 50}


class Bench:
    """The ways to measure, over one loaded model that never ends an answer early."""

    def __init__(self, loaded: LoadedModel, engine: Engine, n_new: int, sampled: bool) -> None:
        from core.llm.encode import encode_chat
        from core.values import Message

        self._loaded, self._engine, self._n_new, self._sampled = loaded, engine, n_new, sampled
        self.prompts = [
            encode_chat(loaded, [Message(role="user", content=f"Tell me a long story about {topic}.")])
            for topic in TOPICS
        ]

    def generate(self, n: int) -> dict[str, float]:
        """`n` prompts as one batch of plain `generate`, padded on the left."""
        loaded, watch = self._loaded, _FirstToken()
        loaded.tokenizer.padding_side = "left"
        batch = loaded.tokenizer.pad({"input_ids": self.prompts[:n]}, return_tensors="pt").to(loaded.device)
        model: Any = loaded.model
        streamer = {"streamer": watch} if n == 1 else {}  # the library streams one prompt only
        how = USUAL | {"do_sample": True} if self._sampled else {"do_sample": False}
        started_s = time.perf_counter()
        with _timed(n * self._n_new) as figures:
            model.generate(**batch, **how, **streamer, max_new_tokens=self._n_new, min_new_tokens=self._n_new)
        return figures | ({"first token": watch.at_s - started_s} if n == 1 else {})

    def engine(self, n: int) -> dict[str, float]:
        """`n` requests submitted at once."""
        from core.llm.engine import Request
        from core.llm.sampling import resolve_sampling

        asked = (USUAL if self._sampled else {"temperature": 0}) | {"max_new_tokens": self._n_new}
        requests = [
            Request(tuple(prompt), resolve_sampling(self._loaded, asked, len(prompt), seed))
            for seed, prompt in enumerate(self.prompts[:n])
        ]
        with _timed(n * self._n_new) as figures:
            generations = [self._engine.submit(request) for request in requests]
            made = sum(chunk.n_tokens for generation in generations for chunk in generation)
        assert made == n * self._n_new, f"{made} tokens where {n * self._n_new} were asked"
        return figures | {"first token": max(generation.time_to_first_token_s or 0 for generation in generations)}


@contextmanager
def _timed(n_tokens: int) -> Iterator[dict[str, float]]:
    figures: dict[str, float] = {}
    started_s, cpu_s = time.perf_counter(), time.process_time()
    yield figures
    figures["speed"] = n_tokens / (time.perf_counter() - started_s)
    figures["processor a token"] = (time.process_time() - cpu_s) / n_tokens


class _FirstToken:
    """Notes when `generate` hands over its first own token."""

    def __init__(self) -> None:
        self.at_s, self._calls = 0.0, 0

    def put(self, _: Any) -> None:
        self._calls += 1
        if self._calls == 2:  # the first call hands over the prompt
            self.at_s = time.perf_counter()

    def end(self) -> None:
        pass


def measure(ways: dict[str, Callable[[], dict[str, float]]], repeats: int) -> dict[str, list[float]]:
    """The figures of each way, one a repeat, the ways taking turns."""
    figures: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            for figure, value in way().items():
                figures.setdefault(f"{name}: {figure}", []).append(value)
    return figures


def show(figures: dict[str, list[float]]) -> None:
    for name, values in figures.items():
        print(line(name, values, "tokens/s", 1) if name.endswith("speed") else line(name, values))


def show_aims(figures: dict[str, list[float]]) -> None:
    def ratio(figure: str, top: str, bottom: str) -> list[float]:
        pairs = zip(figures[f"{top}: {figure}"], figures[f"{bottom}: {figure}"], strict=True)
        return [above / below for above, below in pairs]

    first_s = zip(figures["engine, 1: first token"], figures["generate, 1: first token"], strict=True)
    print(line("one request, engine / generate", ratio("speed", "engine, 1", "generate, 1"), "times", 1))
    print(line("eight, engine / generate in a batch", ratio("speed", "engine, 8", "generate, 8"), "times", 1))
    print(line("engine, eight / one", ratio("speed", "engine, 8", "engine, 1"), "times", 1))
    for n in (1, 8):
        costs = ratio("processor a token", f"engine, {n}", f"generate, {n}")
        print(line(f"processor time a token, {n}, engine / generate", costs, "times", 1))
    print(line("first token of one, engine later by", [ours - theirs for ours, theirs in first_s]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("~/.local/share/workbench"), help="where the model lies")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64, help="length of each answer")
    parser.add_argument("--sampled", action="store_true", help="draw tokens as the page does, not the likeliest")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the worker runs; torch reads it when it is imported

    from core.catalog import BUILTIN_NAME, resolve
    from core.llm.engine import Engine
    from core.llm.loading import load
    from core.llm.measure import versions
    from core.llm.unpack import unpack_builtin

    home = options.home.expanduser().absolute()
    unpack_builtin(home, lambda fraction, message: None)
    loaded = replace(load(resolve(BUILTIN_NAME, home)), eos_ids=frozenset())
    print(f"{loaded.device_name}, {loaded.precision}, {os.cpu_count()} cores; {versions()}")
    engine = Engine(loaded)
    bench = Bench(loaded, engine, options.tokens, options.sampled)
    print(f"{len(bench.prompts)} prompts of {len(bench.prompts[0])} tokens, {options.tokens} new ones each\n")
    ways = {
        "generate, 1": lambda: bench.generate(1),
        "engine, 1": lambda: bench.engine(1),
        "generate, 8": lambda: bench.generate(8),
        "engine, 8": lambda: bench.engine(8),
    }
    measure(ways, 1)  # the first round pays for what is only set up once
    figures = measure(ways, options.repeats)
    engine.close()
    show(figures)
    print()
    show_aims(figures)


if __name__ == "__main__":
    main()
