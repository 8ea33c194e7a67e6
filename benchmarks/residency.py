"""Loads and unloads through a worker's pool: whether memory grows, and what the process holds with each model.

    python -m benchmarks.residency --home ~/.local/share/workbench --rounds 200

Precisions take turns. What grows after the tenth round is a leak; the aim is 2 % on a card, 5 % on a CPU.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import line

if TYPE_CHECKING:
    from worker.appraisal import Appraiser
    from worker.pool import Pool

SETTLED = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("~/.local/share/workbench"), help="where the model lies")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--dtype", action="append", default=[], help="only this precision; may be given several times")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    logging.disable(logging.WARNING)  # bitsandbytes warns once a layer and step

    from core.llm.abilities import abilities
    from core.llm.loading import first_device
    from core.settings import read_settings
    from worker.appraisal import Appraiser
    from worker.pool import Pool

    found = abilities(first_device())
    kind = "host" if first_device() == "cpu" else "gpu"
    appraiser = Appraiser(read_settings(home=options.home.expanduser().absolute()), kind, lambda: found)
    pool = Pool(options.home.expanduser().absolute(), "bench", "bench")
    dtypes = options.dtype or [name for name, why in found.precisions.items() if not why]
    _show(list(_rounds(pool, appraiser, dtypes, options.rounds)), dtypes)


def _rounds(pool: Pool, appraiser: Appraiser, dtypes: list[str], n: int) -> Iterator[tuple[str, int, int, float]]:
    """(precision, bytes with the model, bytes after it went, seconds to load), round by round."""
    yield "", _own(), _own(), 0.0
    for index in range(n):
        dtype = dtypes[index % len(dtypes)]
        began = time.perf_counter()
        held = _one(pool, appraiser, dtype)
        taken = time.perf_counter() - began
        after = _own()
        print(f"{index + 1:>4} {dtype:<9} with it {held / 1e6:8.1f} MB, after {after / 1e6:8.1f} MB", flush=True)
        yield dtype, held, after, taken


def _one(pool: Pool, appraiser: Appraiser, dtype: str) -> int:
    """What the process takes with the model in memory; when this returns it has gone again."""
    from core.catalog import BUILTIN_NAME
    from core.variant import Variant

    appraisal = appraiser.appraise(Variant(model=BUILTIN_NAME, dtype=dtype))
    resident = pool.borrow(appraisal, "job", lambda progress: None)
    held = _own() + _mapped(resident)
    del resident
    pool.give_back("job")
    pool.let_go([appraisal.key])
    return held


def _own() -> int:
    import torch

    from core.llm.own import own_bytes

    return torch.cuda.memory_reserved() if torch.cuda.is_available() else own_bytes()


def _mapped(resident: object) -> int:
    from core.llm.own import mapped_bytes

    return mapped_bytes(resident.loaded.model.parameters())  # type: ignore[attr-defined]


def _show(rounds: list[tuple[str, int, int, float]], dtypes: list[str]) -> None:
    print(f"\nempty: {rounds[0][1] / 1e6:.1f} MB")
    for dtype in dtypes:
        held = [float(held) for name, held, _, _ in rounds if name == dtype]
        if held:
            print(line(f"with one model in {dtype}", held, "MB", 1e-6))
    after = [float(after) for name, _, after, _ in rounds if name]
    print(line("after unload", after[SETTLED:] or after, "MB", 1e-6))
    if len(after) > SETTLED:
        settled, last = max(after[: SETTLED + 1]), max(after[-len(dtypes) :])
        print(f"growth after round {SETTLED}: {100 * (last / settled - 1):+.1f} % ({(last - settled) / 1e6:+.1f} MB)")


if __name__ == "__main__":
    main()
