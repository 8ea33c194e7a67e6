"""A model in memory with its engine and the figures of its loading, predicted and measured."""

from __future__ import annotations

import gc
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache

import torch

from core.abilities import Choice
from core.catalog import ModelSource
from core.catalog.describe import describe
from core.llm.abilities import abilities
from core.llm.engine import Engine
from core.llm.first_use import import_what_loads
from core.llm.load_figures import CardMemory, Took, figures_of
from core.llm.loading import LoadedModel, first_device, load
from core.llm.measure import PeakMeter, meter_of_loads
from core.llm.own import mapped_bytes, own_bytes, trim_heaps, weights_apart
from core.llm.reading import Heard
from core.memory.needs import Needs
from core.values import Measurement


@dataclass(frozen=True)
class Resident:
    """What stays in memory. `figures` were taken while it was loaded, when nothing else was."""

    loaded: LoadedModel
    engine: Engine
    figures: tuple[Measurement, ...]
    held_bytes: int
    """What the process holds for it on its device, as measured."""
    choice: Choice
    needs: Needs | None
    stored_as: str
    """The dtype or the quantizer of its files."""
    notes: tuple[str, ...]
    loaded_at: float
    adapter: str | None = None
    """The adapter that whoever borrowed it asked for, by the name that a `Request` takes."""
    may_run_code: bool = False
    framework_bytes: int = 0
    """What the process takes of the device beside all models: `core.memory.framework` keeps it."""

    def close(self) -> None:
        """Let the model go; it is the caller who drops the last reference."""
        self.engine.close()


def load_resident(
    source: ModelSource,
    choice: Choice,
    needs: Needs | None,
    meter: PeakMeter,
    tell: Heard,
    *,
    may_run_code: bool = False,
) -> Resident:
    """Load a model, try its batch once, and say what that took.

    Raises:
        ModelError: it cannot be loaded.
        OutOfMemory: it is too large for this device.
    """
    import_what_loads(source, choice)
    release_memory()  # else what the last model left would count for this one
    share, before = _share_of_the_host(), CardMemory.now(first_device())
    loaded, engine, took = _load(source, choice, meter_of_loads(meter), tell, may_run_code)
    now = CardMemory.now(loaded.device)
    on_card = before.growth(now).figures(needs) if loaded.device.startswith("cuda") else ()
    return Resident(
        loaded=loaded,
        engine=engine,
        figures=(*figures_of(loaded, needs, took), *on_card),
        held_bytes=max(took.held_bytes, loaded.weights_bytes),
        choice=choice,
        needs=needs,
        stored_as=describe(source).stored_as,
        notes=abilities(loaded.device).notes,
        loaded_at=time.time(),
        may_run_code=may_run_code,
        framework_bytes=now.framework_bytes or share,
    )


def _load(
    source: ModelSource, choice: Choice, meter: PeakMeter, tell: Heard, may_run_code: bool
) -> tuple[LoadedModel, Engine, Took]:
    """The peak is of all of it; what is held is read before the trial, whose new kernels count for the framework."""
    before = meter.now_bytes()
    on_card = first_device().startswith("cuda")
    with nullcontext() if on_card else weights_apart(), meter.watch() as peak:
        loaded = load(source, choice, tell=tell, may_run_code=may_run_code)
        release_memory()
        held, began_s = meter.now_bytes() - before, time.perf_counter()
        engine = Engine(loaded)
        engine_s = time.perf_counter() - began_s
    trim_heaps()
    mapped = mapped_bytes(loaded.model.parameters())
    return loaded, engine, Took(peak.peak_bytes - before + mapped, max(held, 0) + mapped, loaded.load_s, engine_s)


@cache
def _share_of_the_host() -> int:
    """What this process held of the host before its first model."""
    return own_bytes()


def release_memory() -> None:
    """Give back to the device and to the system what nobody uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim_heaps()
