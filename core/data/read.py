"""Data as it is trained on: read within bounds, its format recognised, each bad row listed, and split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.data.formats import Reading, reading_of
from core.data.records import Numbered, Records
from core.data.sources import Source, source_of
from core.data.spec import MOST_ROWS, DataFields
from core.data.split import canonical, split
from core.data.trouble import Empty, Unusable
from core.data.values import BadRow, Data, Row
from core.errors import BadInput

if TYPE_CHECKING:
    from core.hub.line import Line

MOST_BYTES = 256_000_000
MOST_BAD = 100_000
SAID_EVERY = 20_000
LOOKED_AT = 100  # records from which columns and their types are told


def read_data(fields: DataFields, home: Path, tell: Callable[[str], None], hub: Line | None = None) -> Data:
    """The rows that `fields` describes.

    A file may be larger than the memory: it is read row by row, and refused once what is kept of it passes
    `MOST_BYTES` bytes of text or `MOST_ROWS` rows; `max_rows` keeps it below.

    Args:
        tell: hears what takes a while, often enough that what it raises may end it.
        hub: the connection over which a data set of the Hub is fetched; None: one of the environment's, at need.

    Raises:
        BadInput: there is no such data, it holds nothing that can be used, or more than can be kept.
        Unavailable: built-in data is not there yet and cannot be fetched.
        HubAway, HubRefused, ModelNotFound, DiskFull: data of the Hub cannot be had.
    """
    source = source_of(fields, home, tell, hub)
    records = iter(source.records)
    first = _begin(records)
    sample = [one.record for one in first if isinstance(one.record, dict)]
    columns = tuple(dict.fromkeys(str(column) for record in sample for column in record))
    kept = _Kept(fields, source.name, source.counted, tell)
    if sample:
        reading = reading_of(_labelled(fields, source), columns, sample, source.name, source.format)
        kept.read(chain(first, records), reading)
        kept.check()
        return kept.data(source, reading, columns)
    kept.read(first, None)
    kept.check()
    raise AssertionError("what holds no record is refused")


def _begin(records: Records) -> list[Numbered]:
    """The records up to the hundredth that has columns."""
    first: list[Numbered] = []
    n_whole = 0
    for one in islice(records, MOST_BAD + LOOKED_AT):
        first.append(one)
        n_whole += isinstance(one.record, dict)
        if n_whole == LOOKED_AT:
            break
    return first


def _labelled(fields: DataFields, source: Source) -> DataFields:
    return fields.model_copy(update={"label_column": fields.label_column or source.label_column})


@dataclass
class _Kept:
    """What has been read by now."""

    fields: DataFields
    name: str
    counted: str
    tell: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    n_bytes: int = 0
    n_empty: int = 0
    n_short: int = 0
    n_long: int = 0
    is_cut: bool = False
    _whole: Any = field(default_factory=hashlib.sha256)

    def read(self, records: Any, reading: Reading | None) -> None:
        for nth, one in enumerate(records, 1):
            if nth % SAID_EVERY == 0:
                self.tell(f"reading {self.name}: {nth:,} {self.counted}s")
            if self.fields.max_rows and len(self.rows) == self.fields.max_rows:
                self.is_cut = True
                return
            try:
                self._take(one, reading)
            except Unusable as error:
                self.n_empty += isinstance(error, Empty)
                self.bad.append(BadRow(one.number, str(error)))
            if len(self.bad) > MOST_BAD:
                raise BadInput(f"More than {MOST_BAD:,} of {self._all} cannot be used: {self._first}.")

    def _take(self, one: Numbered, reading: Reading | None) -> None:
        if one.record == "":
            self.n_empty += 1
            return
        if isinstance(one.record, str) or reading is None:
            raise Unusable(str(one.record))
        row = Row(one.number, reading.take(one.record))
        if self.rows and row.is_conversational != self.rows[0].is_conversational:
            kinds = ("texts", "messages") if row.is_conversational else ("messages", "texts")
            raise Unusable(f"has {kinds[1]} where {self.counted} {self.rows[0].number} has {kinds[0]}")
        n_chars = chars_of(row)
        if n_chars < self.fields.min_chars:
            self.n_short += 1
        elif self.fields.max_chars and n_chars > self.fields.max_chars:
            self.n_long += 1
        else:
            self._keep(row)

    def _keep(self, row: Row) -> None:
        content = canonical(row.fields)
        self._whole.update(content + b"\n")
        self.n_bytes += len(content)
        if self.n_bytes > MOST_BYTES or len(self.rows) == MOST_ROWS:
            raise BadInput(
                f"{self.name} holds more than can be kept: {MOST_BYTES:,} bytes of text, {MOST_ROWS:,} rows.",
                f"Read a part of it: max_rows={max(1, len(self.rows) // 2)} is well within.",
            )
        self.rows.append(row)
        self.digests.append(hashlib.sha256(content).digest())

    def check(self) -> None:
        """Refuse a set without rows, with what was found instead."""
        if self.rows:
            return
        if n_filtered := self.n_short + self.n_long:
            raise BadInput(
                f"All {n_filtered:,} rows of {self.name} are left out: {self.n_short:,} have fewer characters than "
                f"min_chars, {self.n_long:,} more than max_chars.",
                "Change min_chars or max_chars.",
            )
        if self.bad:
            raise BadInput(f"Of {self._all} none can be used: {self._first}.")
        raise BadInput(f"{self.name} holds no rows.")

    @property
    def _all(self) -> str:
        return f"the {self.counted}s of {self.name}"

    @property
    def _first(self) -> str:
        return f"{self.counted} {self.bad[0].number:,} {self.bad[0].reason}"

    def data(self, source: Source, reading: Reading, columns: tuple[str, ...]) -> Data:
        train, aside = split(self.rows, self.digests, self.fields.eval_share, self.fields.split_seed, self.name)
        return Data(
            name=self.name,
            format=reading.format,
            why=reading.why,
            counted=self.counted,
            columns=columns,
            rows=tuple(self.rows),
            bad=tuple(self.bad),
            train=train,
            evaluation=aside,
            fingerprint=hashlib.sha256(f"{reading.format}\n".encode() + self._whole.digest()).hexdigest(),
            licence=source.licence,
            source=source.source,
            n_duplicates=len(self.digests) - len(set(self.digests)),
            n_empty=self.n_empty,
            n_short=self.n_short,
            n_long=self.n_long,
            is_cut=self.is_cut,
        )


def chars_of(row: Row) -> int:
    """How many characters a row has: all its texts; of a preference the prompt with the longer answer."""
    sizes = {name: _chars(value) for name, value in row.fields.items()}
    if "chosen" in sizes:
        return sizes["prompt"] + max(sizes["chosen"], sizes["rejected"])
    return sum(size for name, size in sizes.items() if name not in ("label", "rating"))


def _chars(value: Any) -> int:
    if isinstance(value, list):
        return sum(len(message["content"]) for message in value)
    return len(value) if isinstance(value, str) else 0
