"""Models that come and go leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.abilities import choose
from core.catalog import BUILTIN_NAME, resolve
from core.llm.abilities import abilities
from core.llm.measure import PeakMeter
from core.llm.own import mapped_bytes, own_bytes
from core.llm.resident import load_resident, release_memory
from core.memory.files import open_model
from core.memory.needs import needs_of
from core.values import Measurement
from core.variant import Variant
from tests.support import ROOT

BY_TURNS = ("float32", "bfloat16", "float16")  # packing takes seconds each; `benchmarks.residency` has all of them
ROUNDS = 10


def come_and_go(home: Path, dtype: str) -> dict[str, Measurement]:
    """One load and unload; its figures."""
    source = resolve(BUILTIN_NAME, home)
    choice = choose(Variant(model=BUILTIN_NAME, dtype=dtype), abilities("cpu"))
    needs = needs_of(open_model(source.folder), choice.precision, choice.attention, on_host=True)
    resident = load_resident(source, choice, needs, PeakMeter("cpu"), lambda read, total: None)
    resident.close()
    return {one.name: one for one in resident.figures}


@dataclass(frozen=True)
class Comings:
    """Own memory before and after ten loads and unloads, and the figures of each."""

    before: int
    after: int
    figures: list[dict[str, Measurement]]


def rounds(home: Path) -> str:
    """Ten loads and unloads, as JSON."""
    for dtype in BY_TURNS:  # what a first use keeps is no leak
        come_and_go(home, dtype)
    release_memory()
    before = own_bytes()
    figures = [come_and_go(home, BY_TURNS[index % len(BY_TURNS)]) for index in range(ROUNDS)]
    release_memory()
    said = [{name: one.model_dump() for name, one in each.items()} for each in figures]
    return json.dumps({"before": before, "after": own_bytes(), "figures": said})


@pytest.fixture(scope="module")
def comings(models_home: Path) -> Comings:
    """In a process of its own: what other tests left here would be freed and counted meanwhile."""
    code = f"from pathlib import Path; from {__name__} import rounds; print(rounds(Path({str(models_home)!r})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    figures = [{name: Measurement(**one) for name, one in each.items()} for each in said["figures"]]
    return Comings(said["before"], said["after"], figures)


def test_ten_loads_and_unloads_do_not_let_memory_grow(comings: Comings) -> None:
    assert comings.after < 1.05 * comings.before


@pytest.mark.parametrize(("name", "below"), [("load_peak_bytes", 0.03), ("held_bytes", 0.10)])
def test_what_was_foretold_of_a_load_is_what_it_took(comings: Comings, name: str, below: float) -> None:
    for figures in comings.figures:
        figure = figures[name]
        assert figure.predicted
        assert -below <= figure.predicted / figure.value - 1 <= 0.10, figure


def test_weights_that_are_read_where_they_lie_count_once(models_home: Path) -> None:
    source = resolve(BUILTIN_NAME, models_home)
    choice = choose(Variant(model=BUILTIN_NAME, dtype="bfloat16"), abilities("cpu"))  # the dtype of its file
    resident = load_resident(source, choice, None, PeakMeter("cpu"), lambda read, total: None)
    try:
        assert mapped_bytes(resident.loaded.model.parameters()) == resident.loaded.weights_bytes
        assert resident.held_bytes < 1.2 * resident.loaded.weights_bytes
    finally:
        resident.close()
