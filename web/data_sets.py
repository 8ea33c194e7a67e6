"""The data that there is: built in and uploaded, each with what its last preview counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from core.client import Workbench
from core.data.builtin import BUILTIN_DATA
from core.data.uploads import Upload
from core.modes import Mode
from core.values import Job
from web.data_view import previewed
from web.format import written
from web.train_data import last_previews


@dataclass(frozen=True)
class Shown:
    """One data set in the list."""

    name: str
    title: str
    help: str
    size: str
    format: str
    rows: str
    tokens: str
    upload: str = ""
    by: str = ""
    """Whose upload it is, where there are several people."""
    is_mine: bool = True
    """Whether one may delete it."""

    @property
    def link(self) -> str:
        """Its own page."""
        return f"/data?{urlencode({'name': self.name})}"


def sets_of(client: Workbench) -> list[Shown]:
    """Uploads, the newest first; then what is built in; then what was previewed from elsewhere."""
    return list(_all(client))


def _all(client: Workbench) -> Iterator[Shown]:
    seen, uploads = last_previews(client), client.uploads()
    for one in uploads:
        shown = _shown(one.id, one.name, "", written(one.n_bytes, "bytes"), seen.get(one.id), one.id)
        yield replace(shown, by=_by(client, one), is_mine=one.may_be_changed_by(client.who))
    for name, built in BUILTIN_DATA.items():
        found = _shown(name, name, built.help, "", seen.get(name))
        yield found if found.format else _shown(name, name, built.help, "", None, format=built.format)
    listed = {*BUILTIN_DATA, *(one.id for one in uploads)}
    for name, job in seen.items():
        if name not in listed:
            yield _shown(name, name, "", "", job)


def _shown(
    name: str, title: str, help: str, size: str, job: Job | None, upload: str = "", format: str = ""
) -> Shown:  # fmt: skip
    found = previewed(job) if job else None
    if found is None:
        return Shown(name, title, help, size, str(format), "", "", upload)
    return Shown(name, title, help, size, str(found.format), f"{found.n_rows:,}", f"{found.n_tokens:,}", upload)


def _by(client: Workbench, upload: Upload) -> str:
    if client.settings.mode is not Mode.TEAM or not upload.owner:
        return ""
    return f"{upload.owner} · private" if upload.is_private else upload.owner
