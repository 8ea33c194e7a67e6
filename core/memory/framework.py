"""The framework's own share of a device: context and libraries on a card, the imported program on a host.

Measured by the worker that loads a first model, once a card and build of torch, and kept in the home; never assumed.
"""

from __future__ import annotations

import contextlib
import json
import os
from importlib import metadata
from pathlib import Path

FILE = "framework.json"


def framework_bytes(folder: Path, card: str) -> int:
    """The share on a card by its name, with this machine's torch or else as measured last; 0 where nobody knows."""
    known = _read(folder)
    try:
        return known.get(_key(card, metadata.version("torch")), 0)
    except metadata.PackageNotFoundError:  # the page's machine: what its workers measured lies in a shared home
        measured = [n_bytes for key, n_bytes in known.items() if key.rpartition(", torch ")[0] == card]
        return measured[-1] if measured else 0


def keep_framework_bytes(folder: Path, card: str, n_bytes: int) -> None:
    """Keep what was measured, if that card and build are new."""
    known, key = _read(folder), _key(card, metadata.version("torch"))
    if key in known or n_bytes <= 0:
        return
    with contextlib.suppress(OSError):  # a figure that cannot be kept is no reason to refuse a model
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{FILE}.{os.getpid()}"
        part.write_text(json.dumps(known | {key: n_bytes}, indent=1))
        part.replace(folder / FILE)  # at once: another process may be reading


def _key(card: str, build: str) -> str:
    return f"{card}, torch {build}"


def _read(folder: Path) -> dict[str, int]:
    try:
        found = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return {}
    usable = isinstance(found, dict)
    return {str(key): n for key, n in found.items() if isinstance(n, int) and n > 0} if usable else {}
