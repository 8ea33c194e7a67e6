"""The figures of a load, each predicted beside measured: what was counted, what the process held, what a card says.

How memory is looked at is in `core.llm.measure` and `core.llm.own`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from core.llm.loading import LoadedModel
from core.llm.measure import process_bytes
from core.memory.needs import Needs
from core.values import Measurement


@dataclass(frozen=True, slots=True)
class Took:
    """What a load took of its device, and of time: to read the model, and to try it."""

    peak_bytes: int
    held_bytes: int
    read_s: float
    warm_up_s: float


@dataclass(frozen=True, slots=True)
class CardMemory:
    """A card's memory at one moment: what was requested of PyTorch's allocator, what it gave out with rounding, what it
    keeps of the card, and what the driver counts for the process, context and libraries included. Zeros on a host."""

    requested_bytes: int = 0
    allocated_bytes: int = 0
    reserved_bytes: int = 0
    driver_bytes: int = 0

    @classmethod
    def now(cls, device: str) -> CardMemory:
        """The memory of a device now."""
        if not device.startswith("cuda"):
            return cls()
        return cls.of(torch.cuda.memory_stats(device), process_bytes(device))

    @classmethod
    def of(cls, stats: Mapping[str, Any], driver_bytes: int) -> CardMemory:
        """The same from what the allocator says."""
        requested, allocated, reserved = (
            int(stats.get(f"{name}_bytes.all.current", 0)) for name in ("requested", "allocated", "reserved")
        )
        return cls(requested, allocated, reserved, driver_bytes)

    @property
    def framework_bytes(self) -> int:
        """What context and libraries take: all that the driver counts and the allocator does not keep."""
        return max(self.driver_bytes - self.reserved_bytes, 0)

    def growth(self, later: CardMemory) -> CardMemory:
        """What came since this moment."""
        return CardMemory(
            later.requested_bytes - self.requested_bytes,
            later.allocated_bytes - self.allocated_bytes,
            later.reserved_bytes - self.reserved_bytes,
            later.driver_bytes - self.driver_bytes,
        )

    def figures(self, needs: Needs | None) -> tuple[Measurement, ...]:
        """As figures of a load. What is reserved has no prediction: it grows by whole segments."""
        predicted = needs.held_bytes if needs else None
        return (
            _figure("requested_bytes", self.requested_bytes, "bytes", predicted),
            _figure("allocated_bytes", self.allocated_bytes, "bytes", predicted),
            _figure("reserved_bytes", self.reserved_bytes, "bytes"),
            _figure("driver_bytes", self.driver_bytes, "bytes"),
        )


def figures_of(loaded: LoadedModel, needs: Needs | None, took: Took) -> tuple[Measurement, ...]:
    """What every device can say of a load."""
    weight = loaded.weight
    found = [
        _figure("parameters", weight.parameters, "parameters", needs.parameters if needs else None),
        _figure("weights_bytes", weight.weights_bytes, "bytes", needs.weights_bytes if needs else None),
        _figure("load_peak_bytes", took.peak_bytes, "bytes", needs.load_bytes if needs else None),
        _figure("held_bytes", took.held_bytes, "bytes", needs.held_bytes if needs else None),
        _figure("process_bytes", process_bytes(loaded.device), "bytes"),
        _figure("load_s", took.read_s, "s"),
        _figure("warm_up_s", took.warm_up_s, "s"),
        _figure("load_bytes_per_s", weight.total_bytes / took.read_s, "bytes/s"),
    ]
    if weight.state_bytes or (needs and needs.state_bytes):
        predicted = needs.state_bytes if needs else None
        found.insert(2, _figure("state_bytes", weight.state_bytes, "bytes", predicted))
    return tuple(found)


def _figure(name: str, value: float, unit: str, predicted: float | None = None) -> Measurement:
    return Measurement(name=name, value=value, unit=unit, predicted=predicted)
