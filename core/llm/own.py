"""What this process has of the host's memory for itself, and what of a model lies in files that it has mapped.

Resident memory as the system shows it is no measure of a model: it counts whatever pages of the weights' files were
touched, though the system drops those when it needs the room, and counts them on when the weights were copied out.
"""

from __future__ import annotations

import ctypes
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from torch import Tensor

STATUS, MAPS = Path("/proc/self/status"), Path("/proc/self/maps")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as glibc's malloc.h numbers them
BLOCK_BYTES, WORKING_BYTES, SPARE_BYTES = 2**16, 2**20, 2**24


def status_bytes(*fields: str) -> int:
    """The sum of fields of this process's status.

    Raises:
        OSError: the system keeps none.
        LookupError: it lacks one of them.
    """
    found = [int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.partition(":")[0] in fields]
    if len(found) != len(fields):
        raise LookupError(f"{STATUS} lacks one of {', '.join(fields)}")
    return sum(found) * 1024


def own_bytes() -> int:
    """Memory that no file backs: what this process alone takes from the machine. All of its pages where nobody says."""
    try:
        return status_bytes("RssAnon", "RssShmem")
    except (OSError, LookupError):  # another system than Linux
        return int(psutil.Process().memory_info().rss)


def mapped_bytes(tensors: Iterable[Tensor]) -> int:
    """What of these tensors lies in mapped files: in the dtype of their file, weights are read where they lie."""
    begins, ends = _mapped_files()
    found = {each.data_ptr(): each.nbytes for each in tensors if each.device.type == "cpu"}
    return sum(n_bytes for pointer, n_bytes in found.items() if _is_inside(pointer, begins, ends))


@contextmanager
def weights_apart() -> Iterator[None]:
    """Inside the `with` block each large block of memory is mapped by itself, and goes back when it is freed.

    By itself glibc serves ever larger blocks from heaps that do not shrink: 135 M parameters that were let go left up
    to 100 MB behind, and loading them in nf4 peaked at 488 MB where 175 are needed. Afterwards blocks below 1 MB come
    from the heap again: without that, reading a prompt took a fifth more processor time.
    """
    _serve_from_heap(BLOCK_BYTES, SPARE_BYTES)
    try:
        yield
    finally:
        _serve_from_heap(WORKING_BYTES, SPARE_BYTES)


def _serve_from_heap(below_bytes: int, spare_bytes: int) -> None:
    mallopt = _of_glibc("mallopt")
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, below_bytes)
        mallopt(M_TRIM_THRESHOLD, spare_bytes)  # a fixed bound ends glibc's own rule for this one too


def trim_heaps() -> None:
    """Give back to the system what this process has freed."""
    trim = _of_glibc("malloc_trim")
    if trim:
        trim(0)


def _of_glibc(name: str) -> Any:
    """One of its functions; None on other systems."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None


def _mapped_files() -> tuple[list[int], list[int]]:
    """Where files are mapped: beginnings and ends, in order."""
    try:
        lines = [line.split(maxsplit=5) for line in MAPS.read_text().splitlines()]
    except OSError:
        return [], []
    spans = [line[0].split("-") for line in lines if len(line) == 6 and line[5].startswith("/")]
    return [int(begin, 16) for begin, _ in spans], [int(end, 16) for _, end in spans]


def _is_inside(pointer: int, begins: list[int], ends: list[int]) -> bool:
    at = bisect_right(begins, pointer) - 1
    return at >= 0 and pointer < ends[at]
