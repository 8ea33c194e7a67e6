"""What a process measures of itself: peak memory of its device, the device's name, the versions it computes with.

A prediction of memory is not made here, and neither is any figure of speed: the engine times its own requests.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

import psutil
import torch

from core.cards import host

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
SAMPLE_S = 0.02
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors")


@dataclass
class Peak:
    """What one watch saw; complete when its `with` block has ended."""

    resident_bytes: int
    """Held on the device when the watch began: models, caches of other jobs."""
    peak_bytes: int = 0
    """The most that the process held on its device meanwhile, whoever asked for it."""
    shared_with: int = 0
    """The most other watches that were open at once."""


class _Gauge(Protocol):
    """Reads one kind of memory of this process."""

    def now_bytes(self) -> int: ...
    def peak_bytes(self) -> int: ...
    def begin(self) -> None:
        """Nobody watched until now: forget the peak so far."""

    def end(self) -> None:
        """Nobody watches any more."""


class PeakMeter:
    """Peak memory of this process on its device, for any number of jobs at once.

    The peak is a mark of the whole process. It is reset only when nobody watches, so a job that begins beside another
    may be told a peak from shortly before it began; it is never told too little.
    """

    def __init__(self, device: str | None = None) -> None:
        on_card = torch.cuda.is_available() if device is None else device.startswith("cuda")
        self._gauge: _Gauge = _CudaGauge(device) if on_card else _host_gauge()
        self._lock = threading.Lock()
        self._open: list[Peak] = []

    @contextmanager
    def watch(self) -> Iterator[Peak]:
        """Measures the block; the figures stand in the value that it gives once the block has ended."""
        peak = self._begin()
        try:
            yield peak
        finally:
            self._end(peak)

    def _begin(self) -> Peak:
        with self._lock:
            if not self._open:
                self._gauge.begin()
            peak = Peak(resident_bytes=self._gauge.now_bytes())
            self._open.append(peak)
            for each in self._open:
                each.shared_with = max(each.shared_with, len(self._open) - 1)
            return peak

    def _end(self, peak: Peak) -> None:
        with self._lock:
            peak.peak_bytes = max(self._gauge.peak_bytes(), peak.resident_bytes)
            # by identity: two watches that began alike are equal as values
            self._open = [each for each in self._open if each is not peak]
            if not self._open:
                self._gauge.end()


class _CudaGauge:
    """What PyTorch's allocator holds on a card: tensors, without the allocator's spare blocks and the context."""

    def __init__(self, device: str | None) -> None:
        self._device = device

    def now_bytes(self) -> int:
        return int(torch.cuda.memory_allocated(self._device))

    def peak_bytes(self) -> int:
        return int(torch.cuda.max_memory_allocated(self._device))

    def begin(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)

    def end(self) -> None:
        pass


class _KernelGauge:
    """Resident memory as the Linux kernel counts it: it keeps the high-water mark itself, so no peak is missed."""

    def now_bytes(self) -> int:
        return _status_bytes("VmRSS")

    def peak_bytes(self) -> int:
        return _status_bytes("VmHWM")

    def begin(self) -> None:
        CLEAR_REFS.write_text("5")  # 5 resets the high-water mark and touches nothing else

    def end(self) -> None:
        pass


class _SamplingGauge:
    """Resident memory looked at every 20 ms, where no kernel keeps a mark that we may reset; short peaks escape it."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._peak_bytes = 0
        self._stop = threading.Event()

    def now_bytes(self) -> int:
        return int(self._process.memory_info().rss)

    def peak_bytes(self) -> int:
        return max(self._peak_bytes, self.now_bytes())

    def begin(self) -> None:
        self._peak_bytes = self.now_bytes()
        self._stop = threading.Event()
        threading.Thread(target=self._sample, args=(self._stop,), name="peak-memory", daemon=True).start()

    def end(self) -> None:
        self._stop.set()

    def _sample(self, stop: threading.Event) -> None:
        while not stop.wait(SAMPLE_S):
            self._peak_bytes = self.peak_bytes()


def _host_gauge() -> _Gauge:
    gauge = _KernelGauge()
    try:
        gauge.begin()
        gauge.peak_bytes()
    except (OSError, LookupError):  # another system, or a container that locks /proc
        return _SamplingGauge()
    return gauge


def _status_bytes(field: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{STATUS} has no {field}")


def device_name(device: str) -> str:
    """The name of a device for people: the card's or the processor's."""
    return str(torch.cuda.get_device_name(device)) if device.startswith("cuda") else host().name


def versions() -> dict[str, str]:
    """The versions of everything that may change what a model says."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
