"""`workbench doctor --gpu`: predicted beside measured for each precision that runs here, with PASS or FAIL.

Each precision is loaded and worked with in a fresh process (`core.llm.prove`), so that nothing is left over for the
next. Without torch: what it was told is judged here, shown, and kept as a report.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import SetupError
from core.memory.formula import size
from core.precision import Precision

UNDER = 0.03  # a peak that was foretold smaller than this ends in an error that was promised away
# sort of check → how far the prediction may be off, on a card; on a host all may by HOST
CARD = {"weights": 0.01, "held": 0.01, "load peak": 0.03, "decode": 0.05, "prefill": 0.05}
HOST, PEAKS = 0.10, ("load peak", "decode", "prefill")
LONGEST_S = 600


@dataclass(frozen=True)
class Proof:
    """One thing that was predicted and measured; `trouble` is why it could not be."""

    precision: str
    check: str
    what: str
    predicted: int = 0
    measured: int = 0
    on_card: bool = False
    trouble: str = ""

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1 if self.measured else 0.0

    @property
    def passes(self) -> bool:
        """Whether it is as close as was promised; a peak may not lie above its prediction by more than 3 %."""
        within = CARD.get(self.check, HOST) if self.on_card else HOST
        below = min(within, UNDER) if self.check in PEAKS else within
        return not self.trouble and -below <= self.error <= within

    def line(self) -> str:
        """As a person reads it."""
        verdict = "PASS" if self.passes else "FAIL"
        if self.trouble:
            return f"{self.precision:<9} {self.what:<30} {verdict}  {self.trouble}"
        figures = f"{size(self.predicted):>11} {size(self.measured):>11} {100 * self.error:>+7.1f} %"
        return f"{self.precision:<9} {self.what:<30} {figures}  {verdict}"


HEAD = f"{'precision':<9} {'what':<30} {'predicted':>11} {'measured':>11} {'error':>9}"


@dataclass
class Report:
    """All that was proved on one machine."""

    model: str
    machine: dict[str, Any]
    proofs: list[Proof] = field(default_factory=list)
    seconds: float = 0.0
    started_at: float = field(default_factory=time.time)

    @property
    def passes(self) -> bool:
        """Whether every line does."""
        return bool(self.proofs) and all(one.passes for one in self.proofs)

    @property
    def on_card(self) -> bool:
        """Whether there is a card; else all figures are of the host's memory."""
        return bool(self.machine["memory_kind"] == "gpu")

    def head(self) -> list[str]:
        """What is measured, and on what."""
        where = f"{self.machine['device']}, torch {self.machine['versions']['torch']}: {self.model}"
        if self.on_card:
            return [f"{where}, bytes requested of the card's allocator.", "", HEAD]
        return [f"{where}.", "No card is here: the figures are of this process's own memory on the host.", "", HEAD]

    def tail(self) -> list[str]:
        """What cannot run here, and the verdict."""
        cannot = [f"{name} cannot run here: {why}." for name, why in self.machine["precisions"].items() if why]
        n_failed = sum(not one.passes for one in self.proofs)
        said = "all PASS" if self.passes else f"{n_failed} FAIL"
        return [*cannot, "", f"{len(self.proofs)} figures in {self.seconds:.0f} s: {said}."]

    def as_json(self) -> dict[str, Any]:
        """As a program reads it."""
        rows = [asdict(one) | {"error": one.error, "passes": one.passes} for one in self.proofs]
        said = {"model": self.model, "machine": self.machine, "seconds": self.seconds, "started_at": self.started_at}
        return said | {"passes": self.passes, "proofs": rows}

    def keep(self, folder: Path) -> Path:
        """Write it down, for programs and for people; the first of the two files."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / time.strftime("doctor-%Y-%m-%d-%H%M%S.json", time.localtime(self.started_at))
        file.write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False))
        lines = [*self.head(), *(one.line() for one in self.proofs), *self.tail()]
        file.with_suffix(".txt").write_text("\n".join(lines) + "\n")
        return file


def begin(home: Path, model: str) -> Report:
    """Look at the machine.

    Raises:
        SetupError: nothing can be measured in this environment.
    """
    found = next((value for kind, value in _told(home, model, None) if kind == "machine"), None)
    if found is None:
        raise SetupError("The measuring process does not start here.", "Run `workbench doctor` and see what it says.")
    return Report(model, found)


def prove(
    home: Path, report: Report, only: tuple[str, ...] = (), tell: Callable[[str], None] = print
) -> Iterator[Proof]:
    """Prove one precision after another; each line as it is known.

    Args:
        only: these precisions; else all that run here.
        tell: hears what is under way.
    """
    runs = [name for name, why in report.machine["precisions"].items() if not why and (not only or name in only)]
    for index, name in enumerate(sorted(runs, key=list(Precision).index)):
        tell(f"{name} ({index + 1} of {len(runs)})")
        for proof in _proofs(home, report, name):
            report.proofs.append(proof)
            yield proof
        report.seconds = time.time() - report.started_at


def _proofs(home: Path, report: Report, precision: str) -> Iterator[Proof]:
    trouble = "its process ended before it said anything; see `python -m core.llm.prove`"
    for kind, value in _told(home, report.model, precision):
        if kind == "row":
            yield Proof(precision, **value, on_card=report.on_card)
            trouble = ""
        elif kind == "trouble":
            trouble = str(value)
    if trouble:
        yield Proof(precision, "load peak", "load", trouble=trouble)


def _told(home: Path, model: str, precision: str | None) -> Iterator[tuple[str, Any]]:
    """What the measuring process says, line by line."""
    command = [sys.executable, "-P", "-m", "core.llm.prove", "--home", str(home), "--model", model]
    command += ["--dtype", precision] if precision else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout
        for line in process.stdout:
            yield from _understood(line).items()
        process.wait(LONGEST_S)
    finally:
        process.kill()
        process.wait()


def _understood(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:  # a library that prints
        return {}
    return found if isinstance(found, dict) else {}
