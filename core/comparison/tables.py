"""What files hold: text as it is, or the text column of JSON, CSV and Parquet, its rows joined by a newline.

Pandas and Arrow read the tables; nothing here knows which file or why.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from core.errors import BadInput

COLUMN = "text"
ROWS_AT_ONCE = 1024
Table = tuple[list[str], list[str], Callable[[str], Iterable[Any]]]
"""All columns, those that hold text, and what gives the values of one."""
Reader = Callable[[Path], Table]


def table_text(path: Path, read: Reader, most_bytes: int) -> str:
    """The column `text`, or the only one that holds text.

    Raises:
        BadInput: it cannot be read, has no such column, or holds more than `most_bytes`.
    """
    try:
        columns, of_text, values = read(path)
        column = COLUMN if COLUMN in of_text else of_text[0] if len(of_text) == 1 else None
        if column is None:
            raise BadInput(_no_column(path, columns, of_text), f"Name the one to be read {COLUMN}.")
        return "\n".join(_bounded(values(column), path, most_bytes))
    except BadInput:
        raise
    except (ValueError, TypeError, OSError, ArithmeticError, LookupError) as error:  # what the two readers raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{path.name} cannot be read as {path.suffix[1:].lower()}: {reason[:200]}") from error


def utf8_of(path: Path) -> str:
    """A file's text, without the mark that some editors put before it.

    Raises:
        BadInput: it is not UTF-8, with the first byte that is not.
    """
    content = path.read_bytes()
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path.name} is not UTF-8 text: byte {error.start + 1:,} is 0x{content[error.start]:02x}.",
            "Save it as UTF-8, for example with iconv.",
        ) from error


def _no_column(path: Path, columns: list[str], of_text: list[str]) -> str:
    shown = ", ".join(columns[:12]) + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
    found = f"{len(of_text)} that hold text" if of_text else "none that holds text"
    return f"{path.name} has no column {COLUMN} but {found}; its columns are {shown or 'none'}."


def _bounded(values: Iterable[Any], path: Path, most_bytes: int) -> Iterator[str]:
    """The rows that hold something; a packed file may hold far more than its size."""
    n_bytes = 0
    for value in values:
        if not isinstance(value, str):
            continue
        n_bytes += len(value) + 1
        if n_bytes > most_bytes:
            raise BadInput(
                f"{path.name} unpacks to more than {most_bytes / 1e6:.0f} MB of text.", "A part of it is enough."
            )
        yield value


def _parquet(path: Path) -> Table:
    from pyarrow import parquet, types  # type: ignore[import-untyped]

    file = parquet.ParquetFile(path)
    of_text = [one.name for one in file.schema_arrow if types.is_string(one.type) or types.is_large_string(one.type)]

    def values(column: str) -> Iterator[Any]:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=[column]):
            yield from batch.column(0).to_pylist()

    return list(file.schema_arrow.names), of_text, values


def _csv(path: Path) -> Table:
    import pandas  # type: ignore[import-untyped]

    content = utf8_of(path)
    columns, of_text, _ = _frame(pandas.read_csv(io.StringIO(content), low_memory=False))

    def values(column: str) -> Iterable[Any]:  # again as it is written: "1.50" and "NA" are text too
        read: Any = pandas.read_csv
        return read(io.StringIO(content), usecols=[column], dtype=str, keep_default_na=False)[column]  # type: ignore[no-any-return]

    return columns, of_text, values


def _json(path: Path) -> Table:
    import pandas

    content = utf8_of(path)
    is_lines = not content.lstrip().startswith("[")
    read: Any = pandas.read_json
    return _frame(read(io.StringIO(content), lines=is_lines, dtype=False))


def _frame(frame: Any) -> Table:
    columns = [str(name) for name in frame.columns]
    of_text = [str(name) for name in frame.columns if frame[name].map(lambda one: isinstance(one, str)).any()]
    return columns, of_text, lambda column: frame[column]


TABLES: Mapping[str, Reader] = {".parquet": _parquet, ".csv": _csv, ".jsonl": _json, ".json": _json}
