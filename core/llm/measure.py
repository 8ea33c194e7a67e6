"""What a process measures of itself: peak memory of its device, the device's name, the versions it computes with.

A prediction of memory is not made here, and neither is any figure of speed: the engine times its own requests.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

import psutil
import torch

from core.cards import host, used_by
from core.llm.own import own_bytes, status_bytes

CLEAR_REFS = Path("/proc/self/clear_refs")
SAMPLE_S, SAMPLE_LOAD_S = 0.02, 0.005
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

    def __init__(self, device: str | None = None, gauge: _Gauge | None = None) -> None:
        on_card = torch.cuda.is_available() if device is None else device.startswith("cuda")
        self._gauge: _Gauge = gauge or (_CudaGauge(device) if on_card else _host_gauge())
        self._lock = threading.Lock()
        self._open: list[Peak] = []

    def now_bytes(self) -> int:
        """What this process holds on its device now."""
        return self._gauge.now_bytes()

    def peak_bytes(self) -> int:
        """The most that it held since somebody began to watch."""
        return self._gauge.peak_bytes()

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
        return status_bytes("VmRSS")

    def peak_bytes(self) -> int:
        return status_bytes("VmHWM")

    def begin(self) -> None:
        CLEAR_REFS.write_text("5")  # 5 resets the high-water mark and touches nothing else

    def end(self) -> None:
        pass


class _SamplingGauge:
    """Memory looked at now and then, where no kernel keeps a mark that we may reset; short peaks escape it."""

    def __init__(self, read: Callable[[], int] | None = None, every_s: float = SAMPLE_S) -> None:
        process = psutil.Process()
        self._read = read or (lambda: int(process.memory_info().rss))
        self._every_s = every_s
        self._peak_bytes = 0
        self._stop = threading.Event()

    def now_bytes(self) -> int:
        return self._read()

    def peak_bytes(self) -> int:
        return max(self._peak_bytes, self.now_bytes())

    def begin(self) -> None:
        self._peak_bytes = self.now_bytes()
        self._stop = threading.Event()
        threading.Thread(target=self._sample, args=(self._stop,), name="peak-memory", daemon=True).start()

    def end(self) -> None:
        self._stop.set()

    def _sample(self, stop: threading.Event) -> None:
        while not stop.wait(self._every_s):
            self._peak_bytes = self.peak_bytes()


class _OwnGauge(_SamplingGauge):
    """Memory of this process alone (`core.llm.own`), looked at often.

    No thread looks while a tokenizer is built in one call that keeps the interpreter to itself. The kernel's mark of
    all pages helps there: less the most that files ever had of them, it is a bound below which the peak was not.
    """

    def __init__(self, is_alone: Callable[[], bool]) -> None:
        super().__init__(own_bytes, SAMPLE_LOAD_S)
        self._is_alone = is_alone
        self._has_mark = False
        self._most_of_files = 0

    def peak_bytes(self) -> int:
        bound = 0
        if self._has_mark:
            of_files = status_bytes("RssFile")
            self._most_of_files = max(self._most_of_files, of_files)
            bound = status_bytes("VmHWM") - self._most_of_files
            if of_files < self._most_of_files * 9 // 10:  # files went: from here on the mark says more
                self._mark()
        return max(super().peak_bytes(), bound)

    def begin(self) -> None:
        self._mark()
        super().begin()

    def _mark(self) -> None:
        self._has_mark = False
        with contextlib.suppress(OSError, LookupError):
            if self._is_alone():  # else somebody's peak would be forgotten
                CLEAR_REFS.write_text("5")
                self._most_of_files = status_bytes("RssFile")
                self._has_mark = True


def _host_gauge() -> _Gauge:
    gauge = _KernelGauge()
    try:
        gauge.begin()
        gauge.peak_bytes()
    except (OSError, LookupError):  # another system, or a container that locks /proc
        return _SamplingGauge()
    return gauge


def meter_of_loads(usual: PeakMeter) -> PeakMeter:
    """What measures a load: on a card the usual meter, on a host one of the memory that is this process's own."""
    if isinstance(usual._gauge, _CudaGauge):
        return usual
    return PeakMeter("cpu", _OwnGauge(is_alone=lambda: not usual._open))


def process_bytes(device: str) -> int:
    """All that this process takes on its device: on a card as the driver counts it, with context and libraries."""
    if not device.startswith("cuda"):
        return int(psutil.Process().memory_info().rss)
    free_bytes, total_bytes = torch.cuda.mem_get_info(device)
    return used_by(os.getpid(), str(torch.cuda.get_device_properties(device).uuid)) or total_bytes - free_bytes


def device_name(device: str) -> str:
    """The name of a device for people: the card's or the processor's."""
    return str(torch.cuda.get_device_name(device)) if device.startswith("cuda") else host().name


def versions() -> dict[str, str]:
    """The versions of everything that may change what a model says."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
