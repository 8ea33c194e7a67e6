"""The text that quality is measured on: one of two that come by themselves, one's own, or a file of this machine.

Or the rows of an upload or of a data set of the Hub. How it becomes tokens is in `core.llm.windows`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.comparison.builtin_texts import BUILTIN_TEXTS, builtin_text
from core.comparison.tables import TABLES, table_text, utf8_of
from core.data.read import read_data
from core.data.records import READERS
from core.data.sources import is_on_hub
from core.data.spec import DataFields
from core.data.uploads import Uploads
from core.data.values import Data
from core.errors import BadInput, NotFound
from core.ids import is_id

if TYPE_CHECKING:
    from core.hub.line import Line

MOST_BYTES = 64_000_000
OWN = "own text"
MOST_ROWS = 10_000  # of an upload or a data set: 4,096 tokens are some hundred
BUILT_IN = (
    f"Built in are {' and '.join(BUILTIN_TEXTS)}; any text, JSONL, CSV or Parquet file of the worker's machine will "
    "do, the id of an upload, or a data set of the Hub (owner/name)."
)


@dataclass(frozen=True, slots=True)
class EvaluationText:
    """A text and the checksum of its UTF-8 bytes, by which two measurements know that they read the same."""

    name: str
    text: str
    sha256: str


def read_text(name: str, own: str, home: Path, tell: Callable[[str], None], hub: Line | None = None) -> EvaluationText:
    """The text of that name, or `own` where that is given.

    Args:
        name: `editorials`, `reviews`, the path of a file, the id of an upload or artifact, or a data set of the Hub,
            of which the split `test` is read, else `train`.
        tell: hears what takes a while.
        hub: the connection to the Hub; None: one of the environment's, at need.

    Raises:
        BadInput: there is no such text, or it is none: with what was found and what would be right.
        Unavailable: a built-in text is not there yet and cannot be fetched.
        HubAway, HubRefused, ModelNotFound, DiskFull: a data set of the Hub cannot be had.
    """
    if own:
        return _text(OWN, own)
    if name in BUILTIN_TEXTS:
        return _text(name, builtin_text(name, home, tell))
    if is_id(name):
        return _given(name, home, tell)
    if is_on_hub(name):
        return _text(name, _rows(_split_of(name, home, tell, hub)))
    path = _file(name)
    table = TABLES.get(path.suffix.lower())
    return _text(name, table_text(path, table, MOST_BYTES) if table else utf8_of(path))


def _given(name: str, home: Path, tell: Callable[[str], None]) -> EvaluationText:
    """An upload as it is, where it is text; else the rows of an upload or artifact."""
    with suppress(NotFound):
        uploads = Uploads(home)
        upload = uploads.find(name)
        if Path(upload.name).suffix.lower() not in READERS:
            if upload.n_bytes > MOST_BYTES:
                raise _too_large(upload.name, upload.n_bytes)
            return _text(upload.name, utf8_of(uploads.path(upload)))
    data = read_data(DataFields(data=name, max_rows=MOST_ROWS, eval_share=0), home, tell)
    return _text(data.name, _rows(data))


def _split_of(name: str, home: Path, tell: Callable[[str], None], hub: Line | None) -> Data:
    wanted = DataFields(data=name, max_rows=MOST_ROWS, eval_share=0)
    with suppress(BadInput):  # what the other split says of itself is worth more
        return read_data(wanted.model_copy(update={"data_split": "test"}), home, tell, hub)
    return read_data(wanted, home, tell, hub)


def _rows(data: Data) -> str:
    """The texts of rows, joined by a newline."""
    if data.rows[0].is_conversational or "chosen" in data.rows[0].fields:
        raise BadInput(f"The rows of {data.name} are {data.format}, which is no text to evaluate on.", BUILT_IN)
    texts = (
        row.fields["text"] if "text" in row.fields else row.fields["prompt"] + row.fields["completion"]
        for row in data.rows
    )
    return "\n".join(texts)


def _too_large(name: str, n_bytes: int) -> BadInput:
    return BadInput(
        f"{name} has {n_bytes / 1e6:,.0f} MB, and an evaluation text at most {MOST_BYTES / 1e6:.0f} MB.",
        "A part of it is enough: 4,096 tokens are about 20 KB.",
    )


def _file(name: str) -> Path:
    """The path of a file that may be read: neither missing nor a folder nor too large."""
    try:
        path = Path(name).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
        n_bytes = path.stat().st_size if is_file else 0
    except (RuntimeError, ValueError, OSError) as error:  # `~nobody`, a NUL, a part longer than any file's name
        raise BadInput(f"{name[:80]!r} is not the path of a file.", BUILT_IN) from error
    if is_folder:
        raise BadInput(f"{name} is a folder: name one file in it.", BUILT_IN)
    if not is_file:
        raise BadInput(f"There is no file {name} on the worker's machine.", BUILT_IN)
    if n_bytes > MOST_BYTES:
        raise _too_large(path.name, n_bytes)
    return path


def _text(name: str, text: str) -> EvaluationText:
    if not text.strip():
        raise BadInput(f"The evaluation text {name} is empty.", BUILT_IN)
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"Character {error.start + 1:,} of {name} is half of a pair: it is no text.") from error
    return EvaluationText(name, text, hashlib.sha256(content).hexdigest())
