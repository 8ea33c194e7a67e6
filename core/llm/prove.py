"""Loads one model at one precision in a process of its own, works with it, and prints predicted beside measured.

    python -m core.llm.prove --home ~/.local/share/workbench --dtype nf4

One JSON object a line: first the machine, then a row for each thing that was measured. What is close enough is judged
in `core.prove`. Another kind of work adds its check to CHECKS.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.catalog import BUILTIN_NAME
from core.errors import WorkbenchError
from core.llm.abilities import abilities
from core.llm.bench import Bench, open_bench
from core.llm.engine import Request
from core.llm.load_figures import CardMemory
from core.llm.loading import first_device
from core.llm.measure import versions
from core.llm.sampling import resolve_sampling
from core.llm.speed import read_prompt, some_ids
from core.memory import estimate
from core.variant import Variant

NEW_TOKENS = 16
DECODED_CARD, DECODED_HOST = 2_048, 512
READ_CARD, READ_HOST = (1_024, 4_096), (256, 1_024)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was said and measured, in bytes; `check` is its sort, `what` its name."""

    check: str
    what: str
    predicted: int
    measured: int


def of_the_load(bench: Bench) -> Iterator[Row]:
    """Weights, the peak while they came, and what stays."""
    needs = bench.resident.needs
    assert needs
    weight = bench.resident.loaded.weight
    yield Row("weights", "weights", needs.weights_bytes + needs.state_bytes, weight.total_bytes)
    yield Row("load peak", "load peak", needs.load_bytes, int(bench.figure("load_peak_bytes")))
    stays = "requested_bytes" if bench.on_card else "held_bytes"
    yield Row("held", "held", needs.held_bytes, int(bench.figure(stays)))


def of_decoding(bench: Bench) -> Iterator[Row]:
    """A request in the engine, as a job makes it."""
    needs = bench.resident.needs
    n_tokens = bench.within(DECODED_CARD if bench.on_card else DECODED_HOST)
    assert needs
    ids = tuple(some_ids(bench.resident.loaded.model, n_tokens - NEW_TOKENS))
    sampling = resolve_sampling(bench.resident.loaded, {"temperature": 0, "max_new_tokens": NEW_TOKENS}, len(ids), 0)
    peak = bench.peak_bytes(lambda: _exhaust(bench.resident.engine.submit(Request(ids, sampling))))
    yield Row("decode", f"decode {n_tokens:,}", needs.held_bytes + needs.work_bytes(n_tokens), peak)


def of_prefill(bench: Bench) -> Iterator[Row]:
    """A prompt read at once, with each attention that runs here."""
    loaded = bench.resident.loaded
    assert bench.model
    for attention in bench.attentions:
        loaded.model.set_attn_implementation(attention)
        for n_tokens in sorted({bench.within(n) for n in (READ_CARD if bench.on_card else READ_HOST)}):
            said = estimate(
                bench.model, precision=loaded.precision, context=n_tokens, attention=attention,
                on_host=not bench.on_card,
            )  # fmt: skip
            peak = bench.peak_bytes(lambda n=n_tokens: read_prompt(loaded.model, n))  # type: ignore[misc]
            yield Row("prefill", f"prefill {n_tokens:,} {attention}", said.total_bytes, peak)


CHECKS: tuple[Callable[[Bench], Iterator[Row]], ...] = (of_the_load, of_decoding, of_prefill)


def _exhaust(chunks: Any) -> None:
    for _ in chunks:
        pass


def _machine() -> dict[str, Any]:
    device = first_device()
    found = abilities(device)
    return {
        "device": found.device,
        "memory_kind": "gpu" if device.startswith("cuda") else "host",
        "precisions": found.precisions,
        "notes": list(found.notes),
        "versions": versions(),
    }


def _print(kind: str, value: Any) -> None:
    print(json.dumps({kind: value}), flush=True)


def main() -> None:
    """Tell of the machine and, with a precision, prove it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--model", default=BUILTIN_NAME)
    parser.add_argument("--dtype", help="the precision; without one only the machine is told")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # bitsandbytes warns once a layer and step
    _print("machine", _machine())
    if not options.dtype:
        return
    try:
        bench = open_bench(options.home, Variant(model=options.model, dtype=options.dtype))
        for check in CHECKS:
            for row in check(bench):
                _print("row", asdict(row))
        _print("card", asdict(CardMemory.now(bench.resident.loaded.device)))
        bench.resident.close()
    except WorkbenchError as error:
        _print("trouble", f"{error.message} {error.hint}".strip())


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    main()
