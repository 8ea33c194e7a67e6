"""Curves as a TensorBoard event file, made whole each time from what the store holds; a resumed run has one line.

The format is written here because the libraries for it import torch where it is installed, which page and command line
must not. It is that of TensorFlow: records of length, checksum, body, checksum (tsl/lib/io/record_writer.h), each body
an `Event` (tensorflow/core/util/event.proto), of which four fields are used. Nothing is read here.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.values import Job, Metric

VERSION = b"brain.Event:2"
LARGEST_FLOAT = (2 - 2**-23) * 2.0**127
DOUBLE_1, VARINT_2, BYTES_3, BYTES_5 = b"\x09", b"\x10", b"\x1a", b"\x2a"  # wire type and number of Event's fields
BYTES_1, FLOAT_2 = b"\x0a", b"\x15"  # of Summary.value, and of Value's tag and simple_value


def tag_of(sort: str, name: str) -> str:
    """What TensorBoard calls a curve: `eval_loss` of an evaluation is `eval/loss`, as transformers' Trainer has it."""
    return f"{sort}/{name.removeprefix(f'{sort}_')}"


def run_name(job: Job) -> str:
    """What TensorBoard calls a run: the name of its folder, which no other job has."""
    return "-".join(filter(None, (re.sub(r"[^\w.-]+", "-", job.name).strip("-."), job.id[-6:])))


def file_name(metrics: Sequence[Metric]) -> str:
    """Of the event file: the same for one run, however often it is written."""
    return f"events.out.tfevents.{min((int(one.at) for one in metrics), default=0)}.workbench"


def write_events(folder: Path, metrics: Sequence[Metric]) -> Path:
    """The event file below `folder`, which takes the place of an earlier one in one step.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(metrics)
    partial = path.with_name(f".{path.name}.partial")  # TensorBoard reads whatever is called events
    partial.write_bytes(as_events(metrics))
    return partial.replace(path)


def as_events(metrics: Sequence[Metric]) -> bytes:
    """The bytes of the event file; values are 32-bit floats there."""
    first = min((one.at for one in metrics), default=0.0)
    return b"".join(map(_record, (_event(first, BYTES_3 + _sized(VERSION)), *map(_event_of, metrics))))


def _event_of(metric: Metric) -> bytes:
    summary = _summary((tag_of(metric.sort, name), value) for name, value in metric.values.items())
    return _event(metric.at, VARINT_2 + _varint(metric.step) + BYTES_5 + _sized(summary))


def _event(at: float, rest: bytes) -> bytes:
    return DOUBLE_1 + struct.pack("<d", at) + rest


def _summary(values: Iterable[tuple[str, float]]) -> bytes:
    each = (BYTES_1 + _sized(tag.encode()) + FLOAT_2 + struct.pack("<f", _narrowed(value)) for tag, value in values)
    return b"".join(BYTES_1 + _sized(one) for one in each)


def _narrowed(value: float) -> float:
    """`value` where a 32-bit float can hold it, else infinity."""
    return math.copysign(math.inf, value) if abs(value) > LARGEST_FLOAT else value


def _sized(body: bytes) -> bytes:
    return _varint(len(body)) + body


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def _record(body: bytes) -> bytes:
    length = struct.pack("<Q", len(body))
    return length + _checksum(length) + body + _checksum(body)


def _checksum(data: bytes) -> bytes:
    """CRC-32C, turned and shifted, since a plain one of data that holds checksums is weak."""
    import google_crc32c

    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
