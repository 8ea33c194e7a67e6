"""How busy this machine is: processor, memory and card, asked of the kernel and of NVML; cheap enough for each step.

What a process holds of its card for itself is not said here: `core.llm.measure` asks PyTorch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from core.cards import host, read_card

CHILDREN_EVERY_S = 5.0  # looking through all processes takes a millisecond
FULL = 100.0


class Usage:
    """What is used, since the last time that it was asked.

    Args:
        uuid: of the card that is asked too; "" for none.
        clock: seconds that only rise.
    """

    def __init__(self, uuid: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._self = psutil.Process()
        self._children: list[psutil.Process] = []
        self._looked_s = float("-inf")
        self._card = _CardUsage.of(uuid)
        self._last = clock(), self._processor_s()

    @classmethod
    def of_this_process(cls) -> Usage:
        """With the card that this process's work runs on, where it is one."""
        return cls(read_card().uuid)

    def now(self) -> dict[str, float]:
        """Each figure by its name, with its unit at the end.

        `cpu_percent` is of all cores that this process may use, for it and its children; what begins with `host` or
        `gpu` is of the whole machine or card, whoever uses it. What a card does not tell is left out.
        """
        memory = host()
        used = float(memory.total_bytes - memory.free_bytes)
        return {"cpu_percent": self._cpu_percent(), "host_bytes": used} | (self._card.now() if self._card else {})

    def _cpu_percent(self) -> float:
        now = self._clock(), self._processor_s()
        passed_s, used_s = (one - before for one, before in zip(now, self._last, strict=True))
        self._last = now
        return min(max(FULL * used_s / (passed_s * _cores()), 0.0), FULL) if passed_s > 0 else 0.0

    def _processor_s(self) -> float:
        """Of this process, its children, and those that it has reaped."""
        if self._clock() - self._looked_s >= CHILDREN_EVERY_S:
            self._looked_s, self._children = self._clock(), self._self.children(recursive=True)
        return sum(map(_seconds_of, (self._self, *self._children)))


class _CardUsage:
    """One card; what it cannot tell it is not asked again."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._reads: Mapping[str, Callable[[], float]] = {
            "gpu_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "gpu_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used,
            "gpu_celsius": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            "gpu_watts": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3,
        }

    @classmethod
    def of(cls, uuid: str) -> _CardUsage | None:
        """The card of this uuid; None where there is none."""
        if not uuid:
            return None
        import pynvml

        try:
            pynvml.nvmlInit()
            return cls(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid))
        except pynvml.NVMLError:
            return None

    def now(self) -> dict[str, float]:
        """What it tells."""
        found: dict[str, float] = {}
        for name, read in dict(self._reads).items():
            try:
                found[name] = float(read())
            except self._nvml.NVMLError:
                self._reads = {other: one for other, one in self._reads.items() if other != name}
        return found


def _seconds_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it has ended: its parent counts it now
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
