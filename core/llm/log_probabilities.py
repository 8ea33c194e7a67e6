"""The reference's log-probabilities on disk, in 16 bit, so that reference and variant are never in memory together.

One .npy file of (windows, scored tokens, vocabulary), written and read a few tokens at a time.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import torch
from torch import Tensor

from core.errors import BadInput, DiskFull
from core.llm.windows import Windows

ITEM_BYTES = 2
FLOOR = -65504.0  # the least that 16 bit hold; below it a probability is 0 anyway
MARGIN_BYTES = 64 << 20  # for the database beside it


def bytes_needed(n_windows: int, window: int, n_vocabulary: int) -> int:
    """What the log-probabilities of so many windows take on disk, but for a header of 128 bytes."""
    return n_windows * (window - 1) * n_vocabulary * ITEM_BYTES


class Keeper:
    """Writes them in the order in which they are scored; the file is there once all of them are."""

    def __init__(self, path: Path, windows: Windows) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._windows = windows
        self._file: IO[bytes] | None = None
        self._missing = windows.n_scored

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file:
            self._file.close()
            if not self._missing and not error:
                self._part.replace(self._path)
            self._part.unlink(missing_ok=True)

    def append(self, log_probabilities_T_V: Tensor) -> None:
        """Write those of the next tokens.

        Raises:
            DiskFull: there is no room for all of them, found before the first is written, or it went meanwhile.
        """
        rows_T_V = log_probabilities_T_V.clamp(min=FLOOR).to(torch.float16).cpu().numpy()
        try:  # written, not mapped: a full disk kills a process that writes into a mapped file
            self._file = self._file or self._opened(rows_T_V.shape[1])
            self._file.write(rows_T_V.tobytes())
        except OSError as problem:
            if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DiskFull(f"The disk of {self._path.parent} filled up meanwhile.", "Score fewer tokens.") from problem
        self._missing -= len(rows_T_V)

    def _opened(self, n_vocabulary: int) -> IO[bytes]:
        check_disk(self._path.parent, self._windows.n_windows, self._windows.window, n_vocabulary)
        file = self._part.open("wb")
        shape = (self._windows.n_windows, self._windows.window - 1, n_vocabulary)
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
        return file


class Kept:
    """Reads them."""

    def __init__(self, path: Path, windows: Windows) -> None:
        self._rows: Any = np.load(path, mmap_mode="r")
        if self._rows.shape[:2] != (windows.n_windows, windows.window - 1):
            raise BadInput(f"{path.name} was kept of other windows: score the reference again on these.")

    def of(self, window: int, first: int, n_vocabulary: int, n_tokens: int) -> Tensor:
        """Log-probabilities of a few tokens of a window, (tokens, vocabulary) in float64.

        They are made to sum to 1 again, which rounding to 16 bit undid: else a divergence from them could be negative.

        Raises:
            BadInput: the vocabulary has another size, so that no entry means the same.
        """
        if self._rows.shape[2] != n_vocabulary:
            raise BadInput(
                f"The reference's vocabulary has {self._rows.shape[2]:,} entries and this one {n_vocabulary:,}: "
                "their predictions cannot be compared token by token."
            )
        rows_T_V = torch.from_numpy(np.array(self._rows[window, first : first + n_tokens]))
        return rows_T_V.double().log_softmax(-1)


def check_disk(folder: Path, n_windows: int, window: int, n_vocabulary: int) -> None:
    """Refuse what the disk has no room for.

    Raises:
        DiskFull: with what is needed, what is free, and how many tokens would do.
    """
    needed, free = bytes_needed(n_windows, window, n_vocabulary), shutil.disk_usage(folder).free
    if needed + MARGIN_BYTES > free:
        tokens = max(0, free - MARGIN_BYTES) // (n_vocabulary * ITEM_BYTES)
        raise DiskFull(
            f"The log-probabilities of {n_windows * (window - 1):,} tokens take {needed / 1e6:,.0f} MB, and the disk "
            f"of {folder} has {free / 1e6:,.0f} MB free.",
            f"There is room for about {tokens:,} tokens." if tokens >= window else "Make room on it.",
        )
