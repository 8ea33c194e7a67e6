"""Files as they are stored: plain, or packed by gzip or zstd, which are unpacked while they are read, up to a bound."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from core.errors import BadInput

MOST_UNPACKED_BYTES = 2_000_000_000  # as an upload: a few kilobytes could unpack to all the memory there is
CHUNK_BYTES = 1 << 18
TORN = (EOFError, zlib.error)
"""What unpacking a broken file raises, beside OSError."""


def _gzip(path: Path) -> Any:
    return gzip.open(path, "rb")


def _zstd(path: Path) -> Any:
    import pyarrow as pa  # type: ignore[import-untyped]

    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")


OPENERS: Mapping[str, Callable[[Path], Any]] = {".gz": _gzip, ".zst": _zstd}


def ending_of(name: str) -> str:
    """What a name ends with, in small letters and without how it is packed: `.jsonl` of `A.jsonl.gz`."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in OPENERS else path.suffix


def opened(path: Path, name: str) -> IO[bytes]:
    """The bytes of a file, unpacked where its name says that it is packed.

    Raises:
        BadInput: when it is read on: it unpacks to more than may be read.
    """
    opener = OPENERS.get(Path(name).suffix.lower())
    if opener is None:
        return path.open("rb")
    return cast(BinaryIO, io.BufferedReader(_Bounded(opener(path), name), CHUNK_BYTES))


class _Bounded(io.RawIOBase):
    """A stream that ends in a sentence where it does not end by itself."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name
        self._n_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(len(buffer))
        self._n_bytes += len(piece)
        if self._n_bytes > MOST_UNPACKED_BYTES:
            raise BadInput(
                f"{self._name} unpacks to more than {MOST_UNPACKED_BYTES:,} bytes, and at most so many are read.",
                "Read a part of it by max_rows, or unpack and split it.",
            )
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
