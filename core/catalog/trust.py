"""Whose code may run: an administrator's list of repositories, each pinned to one commit. Nothing else ever runs.

A branch or tag is no pin: whoever owns the repository can move it to other code.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.catalog.names import COMMIT, is_hub_name, shown
from core.catalog.source import ModelSource
from core.errors import SetupError
from core.values import Origin

SETTING = "WORKBENCH_TRUSTED_CODE"


def parse_trusted(allowed: str) -> frozenset[tuple[str, str]]:
    """The pairs of repository and commit that the setting `trusted_code` lists.

    Raises:
        SetupError: an entry is not `organisation/name@` with a full commit hash.
    """
    return frozenset(_entries(allowed))


def _entries(allowed: str) -> Iterator[tuple[str, str]]:
    for entry in filter(None, (part.strip() for part in allowed.split(","))):
        name, _, commit = entry.partition("@")
        if not is_hub_name(name):
            raise SetupError(
                f"{SETTING} lists {shown(entry)}, which names no repository of the Hub.",
                "Write organisation/name@COMMIT, with commas between several.",
            )
        if not COMMIT.fullmatch(commit):
            raise SetupError(
                f"{SETTING} lists {shown(entry)}, which is not pinned to a full commit hash.",
                "Write the 40 characters of the commit after an @: a branch or tag can be moved to other code.",
            )
        yield name, commit


def may_run_code(source: ModelSource, allowed: str) -> bool:
    """Whether code from this model's repository may run: only one of the Hub, listed with exactly this commit.

    Raises:
        SetupError: the list is malformed.
    """
    return source.origin is Origin.HUB and (source.name, source.revision) in parse_trusted(allowed)


def may_fetch_code(name: str, commit: str, allowed: str) -> bool:
    """Whether the code of a repository is fetched at all.

    Raises:
        SetupError: the list is malformed.
    """
    return (name, commit) in parse_trusted(allowed)
