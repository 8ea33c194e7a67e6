"""What a name of data means: built in, an upload, an artifact, a file of this machine, or a repository of the Hub."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from core.catalog.names import did_you_mean, is_hub_name, nearest, shown
from core.data.builtin import BUILTIN_DATA, LICENCE, SOURCE, builtin_records
from core.data.packed import ending_of
from core.data.records import READERS, Records, records_of
from core.data.spec import DataFields
from core.data.uploads import Uploads
from core.data.values import Format
from core.errors import BadInput, NotFound
from core.ids import is_id

if TYPE_CHECKING:
    from core.data.hub import HubData
    from core.hub.line import Line

WHAT_WILL_DO = (
    f"Built in are {', '.join(BUILTIN_DATA)}; else a JSONL, JSON, CSV, Parquet or text file of the worker's machine, "
    "the id of an upload, or a data set of the Hub (owner/name)."
)
FILE_ENDINGS = {".txt", ".md", *READERS}


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from, before anybody knows what they are.

    Attributes:
        name: what sentences call it.
        counted: `line` or `row`, as its records are numbered.
        format, label_column: where the source knows them.
    """

    name: str
    source: str
    licence: str
    counted: str
    records: Records
    format: Format | None = None
    label_column: str = ""


def source_of(fields: DataFields, home: Path, tell: Callable[[str], None], hub: Line | None) -> Source:
    """The source that `fields.data` names.

    Raises:
        BadInput: there is none of that name.
        Unavailable: a built-in one is not there yet and cannot be fetched.
        HubAway, HubRefused, ModelNotFound, DiskFull: one of the Hub cannot be had.
    """
    name = fields.data
    if not is_on_hub(name):
        _check_is_whole(fields)
    if name in BUILTIN_DATA:
        one, records = BUILTIN_DATA[name], builtin_records(name, home, tell, is_cut=bool(fields.max_rows))
        return Source(name, SOURCE, LICENCE, "row", records, one.format, one.label_column)
    if is_id(name):
        return _by_id(name, home)
    if path := _file(name):
        return _file_source(path, path.name, f"the file {path}")
    if is_on_hub(name):
        return _from_hub(fields, tell, hub)
    near = did_you_mean(nearest(name, BUILTIN_DATA))
    raise BadInput(f"There is no data {shown(name)} on the worker's machine.", f"{near} {WHAT_WILL_DO}".strip())


def is_on_hub(name: str) -> bool:
    """Whether a name is one of the Hub, and of nothing on this machine."""
    is_like_one = "/" in name and is_hub_name(name) and ending_of(name) not in FILE_ENDINGS
    return is_like_one and not Path(name).exists()


def _check_is_whole(fields: DataFields) -> None:
    given = {"data_config": fields.data_config, "data_revision": fields.data_revision}
    for field in (field for field, value in given.items() if value):
        raise BadInput(
            f"{shown(fields.data)} is no data set of the Hub, and {field} goes with one alone.", "Leave it empty."
        )
    if fields.data_split != "train":
        raise BadInput(f"{shown(fields.data)} has no splits: it is one set.", "eval_share sets rows aside.")


def _by_id(name: str, home: Path) -> Source:
    uploads = Uploads(home)
    with suppress(NotFound):
        upload = uploads.find(name)
        return _file_source(uploads.path(upload), upload.name, f"the upload {upload.id}")
    folder = home / "artifacts" / name
    files = sorted(path for path in folder.rglob("*") if ending_of(path.name) in READERS and not path.is_symlink())
    if len(files) == 1:
        return _file_source(files[0], files[0].name, f"the artifact {name}")
    if files:
        raise BadInput(f"The artifact {name} holds {len(files)} files with rows, and data is one.")
    raise BadInput(f"There is no upload and no artifact with rows {name} on the worker's machine.", WHAT_WILL_DO)


def _file(name: str) -> Path | None:
    """A file of this machine; None where there is none."""
    try:
        path = Path(name).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (RuntimeError, ValueError, OSError):  # `~nobody`, a NUL, a part longer than any file's name
        return None
    if is_folder:
        raise BadInput(f"{shown(name)} is a folder: name one file in it.", WHAT_WILL_DO)
    return path if is_file else None


def _file_source(path: Path, name: str, source: str) -> Source:
    counted, records = records_of(path, name)
    return Source(name, source, "", counted, records)


def _from_hub(fields: DataFields, tell: Callable[[str], None], hub: Line | None) -> Source:
    from core.data.hub import hub_data

    found = hub_data(fields, tell, hub)
    if len(found.names) == 1:
        counted, records = records_of(found.bring(found.names[0]), Path(found.names[0]).name)
    else:
        counted, records = "row", _one_by_one(found)
    return Source(fields.data, found.source, found.licence, counted, records)


def _one_by_one(found: HubData) -> Records:
    """Several files as one, each fetched when it is reached: their rows are counted on from one to the next."""
    parts = (records_of(found.bring(name), Path(name).name)[1] for name in found.names)
    for number, each in enumerate(chain.from_iterable(parts), 1):
        yield each._replace(number=number)
