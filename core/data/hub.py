"""Data sets of the Hub: looked up, and fetched into the Hub's cache file by file as their rows are read.

With the same access, token and offline switch as models. Nothing of a repository but files with rows and its README is
fetched, and no code of it runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog.cache import DEFAULT_REVISION, commit_referred, repository_folder
from core.catalog.names import COMMIT
from core.data.hub_files import choose_files
from core.data.spec import DataFields
from core.errors import HubAway, NotDownloaded

if TYPE_CHECKING:
    from core.hub.access import Access
    from core.hub.line import Line
    from core.hub.repository import Repository

CARD = "README.md"
MOST_CARD_BYTES = 1_000_000
SHARD = re.compile(r"(.*-)(\d{5})-of-(\d{5})(.*)")
PREFIX = "datasets--"
AGAIN = "With a connection it is fetched on."


@dataclass(frozen=True, slots=True)
class HubData:
    """The files of one split, in their order, at one commit; `bring` gives where one lies, fetched at need."""

    names: tuple[str, ...]
    source: str
    licence: str
    bring: Callable[[str], Path]


def hub_data(fields: DataFields, tell: Callable[[str], None], hub: Line | None) -> HubData:
    """What the Hub holds of a split. Where the Hub is away, what was fetched of it before does.

    Raises:
        BadInput: there is no such configuration or split.
        HubAway, HubRefused, ModelNotFound, DiskFull: it cannot be had.
        Stopped (of `core.hub.trouble`): the line was cut.
    """
    from core.hub.access import Access
    from core.hub.repository import RepositoryKind, look_up

    access = hub.access if hub else Access.from_environment()
    tell(f"asking the Hub for {fields.data}")
    try:
        with _line(access, hub) as line:
            repository = look_up(line, fields.data, fields.data_revision, RepositoryKind.DATASET)
    except HubAway:
        if (kept := _kept(fields, access)) is None:
            raise
        tell(f"the Hub is away: {fields.data} is read as it was fetched before")
        return kept
    return _Fetching(fields, access, hub, repository, tell).data()


@contextmanager
def _line(access: Access, hub: Line | None) -> Iterator[Line]:
    """The line that was given, which stays open, or one of our own."""
    from core.hub.line import Line

    if hub is not None:
        yield hub
        return
    with Line(access) as own:
        yield own


@dataclass(frozen=True)
class _Fetching:
    fields: DataFields
    access: Access
    hub: Line | None
    repository: Repository
    tell: Callable[[str], None]

    def data(self) -> HubData:
        from core.hub.shelf import Shelf

        files = self.repository.files
        has_card = CARD in files and files[CARD].n_bytes <= MOST_CARD_BYTES
        card = _card(self.bring(CARD)) if has_card else {}
        made = _chosen(self.fields, files, card, self.repository.commit, self.bring)
        if has_card:
            Shelf(self.access.cache, self.repository).refer(self.fields.data_revision)
        return made

    def bring(self, name: str) -> Path:
        """Fetch a file, if it is not here."""
        from core.hub.room import check_room
        from core.hub.shelf import Shelf
        from core.hub.transfer import fetch

        file, shelf = self.repository.files[name], Shelf(self.access.cache, self.repository)
        check_room(self.access.cache, file.n_bytes - shelf.bytes_here(file), self.fields.data)
        n_here = 0

        def count(n_bytes: int, _is_new: bool) -> None:
            nonlocal n_here
            n_here += n_bytes
            self.tell(f"fetching {name}: {n_here / 1e6:,.1f} of {file.n_bytes / 1e6:,.1f} MB")

        with _line(self.access, self.hub) as line:
            fetch(line, self.repository, file, shelf, count)
        shelf.refer(self.fields.data_revision)
        return shelf.snapshot / name


def _chosen(
    fields: DataFields, names: Mapping[str, Any], card: dict[str, Any], commit: str, bring: Callable[[str], Path]
) -> HubData:
    found = choose_files(names, card, fields.data_config, fields.data_split, fields.data)
    licence = card.get("license")
    said = ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence or "")
    return HubData(tuple(found), f"the Hub: {fields.data}@{commit}, {fields.data_split}", said[:200], bring)


def _kept(fields: DataFields, access: Access) -> HubData | None:
    """What lies in the cache of the revision that is asked for; None where nothing does."""
    folder = repository_folder(fields.data, access.cache, PREFIX)
    revision = fields.data_revision or DEFAULT_REVISION
    commit = revision if COMMIT.fullmatch(revision) else commit_referred(folder, revision)
    snapshot = folder / "snapshots" / (commit or "none")
    if commit is None or not snapshot.is_dir():
        return None
    names = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()}

    def find(name: str) -> Path:
        if name not in names:
            raise NotDownloaded(f"{fields.data} is on this machine only in part: {name} is missing.", AGAIN)
        return snapshot / name

    everything = dict.fromkeys(names | {each for name in names for each in _shards(name)})
    return _chosen(fields, everything, _card(snapshot / CARD), commit, find)


def _shards(name: str) -> Iterator[str]:
    """The files that belong together with one that says how many there are."""
    if found := SHARD.fullmatch(name):
        before, _, total, after = found.groups()
        yield from (f"{before}{nth:05d}-of-{total}{after}" for nth in range(int(total)))


def _card(path: Path) -> dict[str, Any]:
    """What the top of a README says; empty where it says nothing that can be read."""
    from huggingface_hub import metadata_load

    with suppress(Exception):  # YAML of a stranger: whatever its parser raises
        found = metadata_load(path)
        return found if isinstance(found, dict) else {}
    return {}
