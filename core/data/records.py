"""Files as records: lines of text, JSON Lines, JSON, CSV and Parquet, read piece by piece within stated bounds.

Those of text may be packed (`core.data.packed`). What the columns mean is in `core.data.formats`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from core.data.packed import TORN, ending_of, opened
from core.errors import BadInput

MOST_LINE_BYTES = 16_000_000
MOST_JSON_BYTES = 64_000_000
BATCH_ROWS = 64  # few, since a packed value may be a thousand times its size in the file
UNREADABLE = (  # what the readers raise
    ValueError, TypeError, OSError, ArithmeticError, LookupError, RecursionError, NotImplementedError, csv.Error,
    *TORN,
)  # fmt: skip
UTF16 = (b"\xff\xfe", b"\xfe\xff")

Record = dict[str, Any]


class Numbered(NamedTuple):
    """A record with its line or row, counted from 1; a text in its place says why it is none, "" that it is blank."""

    number: int
    record: Record | str


Records = Iterator[Numbered]


def records_of(path: Path, name: str) -> tuple[str, Records]:
    """What the numbers count (`line` or `row`), and the records of a file, whose `name` says of what kind it is.

    Raises:
        BadInput: when it is read on: it is not what its name says, or is not UTF-8, or has a line without end.
    """
    ending = ending_of(name)
    if ending == ".parquet" and ending != Path(name).suffix.lower():
        raise BadInput(f"{name} is Parquet, which is packed within, and packed once more.", "Unpack it.")
    if ending == ".json" and not _begins_with_list(path, name):
        ending = ".jsonl"
    counted, reader = READERS.get(ending, ("line", _text))
    return counted, _explained(reader(path, name), name, ending)


def _explained(records: Records, name: str, ending: str) -> Records:
    try:
        yield from records
    except BadInput:
        raise
    except UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{name} cannot be read as {ending[1:] or 'text'}: {reason[:200]}") from error


def _lines(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """The lines with their ends, decoded."""
    with opened(path, name) as file:
        number = 0
        while raw := file.readline(MOST_LINE_BYTES + 1):
            number += 1
            if len(raw) > MOST_LINE_BYTES:
                raise BadInput(f"Line {number:,} of {name} has more than {MOST_LINE_BYTES:,} bytes.", "Split it.")
            yield number, _decoded(raw, number, name)


def _decoded(raw: bytes, number: int, name: str) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        is_utf16 = number == 1 and raw.startswith(UTF16)
        what = "it is UTF-16" if is_utf16 else f"its byte {error.start + 1:,} is 0x{raw[error.start]:02x}"
        raise BadInput(
            f"{name} is not UTF-8 text: line {number:,}, {what}.", "Save it as UTF-8, for example with iconv."
        ) from error
    return text.removeprefix("\ufeff") if number == 1 else text


def _text(path: Path, name: str) -> Records:
    for number, line in _lines(path, name):
        stripped = line.rstrip("\r\n")
        yield Numbered(number, {"text": stripped} if stripped.strip() else "")


def _json_lines(path: Path, name: str) -> Records:
    for number, line in _lines(path, name):
        yield Numbered(number, _parsed(line) if line.strip() else "")


def _parsed(line: str) -> Record | str:
    try:
        value = json.loads(line)
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        return f"is no JSON: {error}"
    return value if isinstance(value, dict) else f"is {_kind(value)}, not an object with columns"


def _json(path: Path, name: str) -> Records:
    with opened(path, name) as file:
        raw = file.read(MOST_JSON_BYTES + 1)
    if len(raw) > MOST_JSON_BYTES:
        raise BadInput(
            f"{name} has more than {MOST_JSON_BYTES:,} bytes, and a JSON file is read as a whole.",
            "Save it as JSON Lines, one object a line, which is read line by line.",
        )
    value = json.loads("".join(_decoded(line, number, name) for number, line in enumerate(io.BytesIO(raw), 1)))
    for number, each in enumerate(value, 1):
        yield Numbered(number, each if isinstance(each, dict) else f"is {_kind(each)}, not an object with columns")


def _begins_with_list(path: Path, name: str) -> bool:
    with suppress(*UNREADABLE), opened(path, name) as file:  # what is broken is said when it is read on
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    return False


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _separated(delimiter: str) -> Callable[[Path, str], Records]:
    def read(path: Path, name: str) -> Records:
        csv.field_size_limit(MOST_LINE_BYTES)  # it is the process's, and its default is too small for a document
        reader = csv.reader((line for _, line in _lines(path, name)), delimiter=delimiter, strict=True)
        header = [column.strip() for column in next(reader, [])]
        if len(set(header)) < len(header):
            raise BadInput(f"{name} names a column twice: {', '.join(header)[:200]}.", "Give each a name of its own.")
        while True:
            number = reader.line_num + 1
            try:
                yield Numbered(number, _record(header, next(reader)))
            except StopIteration:
                return
            except csv.Error as error:
                yield Numbered(number, f"is no CSV: {error}")

    return read


def _record(header: list[str], values: list[str]) -> Record | str:
    if not values:
        return ""
    if len(values) != len(header):
        return f"has {len(values)} values, where the first line names {len(header)} columns"
    return dict(zip(header, values, strict=True))


def _parquet(path: Path, _name: str) -> Records:
    from pyarrow import parquet  # type: ignore[import-untyped]

    number = 0
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            for record in batch.to_pylist():
                number += 1
                yield Numbered(number, record)


READERS: Mapping[str, tuple[str, Callable[[Path, str], Records]]] = {
    ".jsonl": ("line", _json_lines),
    ".ndjson": ("line", _json_lines),
    ".json": ("row", _json),
    ".csv": ("line", _separated(",")),
    ".tsv": ("line", _separated("\t")),
    ".parquet": ("row", _parquet),
}
