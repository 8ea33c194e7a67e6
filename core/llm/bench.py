"""One model alone in its process, to be measured: loaded as a job loads it, and what work with it takes beyond it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from core.abilities import choose
from core.catalog import resolve, trust
from core.llm.abilities import abilities
from core.llm.loading import first_device
from core.llm.measure import PeakMeter, meter_of_loads
from core.llm.reading import Heard
from core.llm.resident import Resident, load_resident, release_memory
from core.llm.unpack import unpack_if_builtin
from core.memory import Model
from core.memory.files import try_open_model
from core.memory.needs import needs_of
from core.variant import Attention, Variant


@dataclass(frozen=True)
class Bench:
    """A model in memory, and what is known of it beforehand; `model` is None where its files do not say enough."""

    resident: Resident
    model: Model | None
    meter: PeakMeter

    @property
    def on_card(self) -> bool:
        """Whether it lies on a card."""
        return self.resident.loaded.device.startswith("cuda")

    @property
    def attentions(self) -> list[str]:
        """What its class has and this machine runs."""
        runs = abilities(self.resident.loaded.device).attentions
        has = self.model.attentions if self.model else (self.resident.loaded.attention,)
        return [one for one in Attention if one in has and not runs.get(one)]

    def figure(self, name: str) -> float:
        """A figure of the load."""
        return next(one.value for one in self.resident.figures if one.name == name)

    def peak_bytes(self, work: Callable[[], object]) -> int:
        """The peak with the model while it works: what kernels keep from their first use is no part of it."""
        work()
        release_memory()
        if self.on_card:
            torch.cuda.reset_peak_memory_stats()
            work()
            torch.cuda.synchronize()
            return int(torch.cuda.memory_stats()["requested_bytes.all.peak"])
        with self.meter.watch() as peak:
            work()
        return peak.peak_bytes - peak.resident_bytes + int(self.figure("held_bytes"))

    def within(self, n_tokens: int) -> int:
        """So many tokens, or as many as the model reads."""
        return min(n_tokens, self.resident.loaded.context_length)


def open_bench(home: Path, variant: Variant, trusted_code: str = "", tell: Heard = lambda read, total: None) -> Bench:
    """Load a variant as a worker does.

    Raises:
        ModelError: there is no such model here, or it cannot be loaded.
        BadInput: this machine cannot run it like that.
        OutOfMemory: it is too large for this device.
    """
    unpack_if_builtin(variant.model, home)
    device, source = first_device(), resolve(variant.model, home, variant.revision)
    model = try_open_model(source.path)
    choice = choose(variant, abilities(device), model.attentions if model else ())
    on_host = device == "cpu"
    needs = needs_of(model, choice.precision, choice.attention, on_host=on_host) if model else None
    meter = PeakMeter(device)
    may_run_code = trust.may_run_code(source, trusted_code)
    resident = load_resident(source, choice, needs, meter, tell, may_run_code=may_run_code)
    return Bench(resident, model, meter_of_loads(meter))
