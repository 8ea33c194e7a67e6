"""The devices of this machine and their memory, asked of NVML and the kernel: no torch, no CUDA context.

What a model will need of that memory is not said here.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psutil

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Card:
    """A device that models run on, with its memory in bytes; `memory_kind` says whether it is a GPU's or the host's."""

    name: str
    memory_kind: Literal["gpu", "host"]
    total_bytes: int
    free_bytes: int
    uuid: str = ""

    @property
    def key(self) -> str:
        """The same for every process that shares this memory, and for no other."""
        return self.uuid or f"host {platform.node()}"[:100]


def read_cards() -> list[Card]:
    """The NVIDIA cards that this process may use, else the host itself."""
    return gpus() or [host()]


def read_card() -> Card:
    """The device that a worker of this process's environment runs on."""
    return read_cards()[0]


def gpus() -> list[Card]:
    """The NVIDIA cards that CUDA_VISIBLE_DEVICES leaves; none where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return _visible([_gpu(pynvml, handle) for handle in handles])
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def used_by(pid: int, uuid: str) -> int:
    """Bytes of a card that a process takes, as the driver counts them; 0 where it does not say (in some containers)."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        return sum(int(one.usedGpuMemory or 0) for one in processes if one.pid == pid)
    except pynvml.NVMLError:
        return 0
    finally:
        pynvml.nvmlShutdown()


def host() -> Card:
    """This machine's own memory, or the part of it that its container may use."""
    memory = psutil.virtual_memory()
    total_bytes, free_bytes = int(memory.total), int(memory.available)
    limit_bytes, used_bytes = _container_memory()
    if limit_bytes and limit_bytes < total_bytes:
        total_bytes, free_bytes = limit_bytes, min(free_bytes, max(limit_bytes - used_bytes, 0))
    return Card(_processor(), "host", total_bytes, free_bytes)


def gigabytes(n_bytes: float) -> str:
    """Bytes as a person reads them."""
    return f"{n_bytes / 1e9:.1f} GB"


def _gpu(nvml: Any, handle: Any) -> Card:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Card(
        name=nvml.nvmlDeviceGetName(handle),
        memory_kind="gpu",
        total_bytes=int(memory.total),
        free_bytes=int(memory.free),
        uuid=nvml.nvmlDeviceGetUUID(handle),
    )


def _visible(found: list[Card]) -> list[Card]:
    """NVML ignores CUDA_VISIBLE_DEVICES; CUDA takes indices or beginnings of uuids and stops at the first bad one."""
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return found
    chosen: list[Card] = []
    for word in (part.strip() for part in wanted.split(",")):
        by_index = found[int(word) : int(word) + 1] if word.isdecimal() else []
        by_uuid = [card for card in found if word and card.uuid.startswith(word)]
        if not by_index and not by_uuid:
            break
        chosen += by_index or by_uuid
    return chosen


def _container_memory() -> tuple[int, int]:
    """(limit, used) of the control group, in bytes; (0, 0) without a limit. Cached files count as free."""
    for limit_file, used_file in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, used = _number(CGROUP / limit_file), _number(CGROUP / used_file)
        if limit:
            return limit, max(used - _cached_bytes(CGROUP / Path(limit_file).parent / "memory.stat"), 0)
    return 0, 0


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no such group, or the word "max"
        return 0


def _cached_bytes(stat: Path) -> int:
    try:
        lines = dict(line.split()[:2] for line in stat.read_text().splitlines())
        return int(lines.get("inactive_file", "0"))
    except (OSError, ValueError):
        return 0


@cache
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
