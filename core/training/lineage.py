"""Where an artifact comes from, beside its files: job, base, data, settings and versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from core.errors import NotFound

FILE = "workbench.json"
PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "datasets")


def write_lineage(folder: Path, job_id: str, kind: str, spec: Mapping[str, Any], **facts: Any) -> None:
    """Put `workbench.json` into an artifact's folder. `facts` are plain JSON."""
    body = {"job": job_id, "kind": kind, "spec": dict(spec), "versions": _versions(), **facts}
    (folder / FILE).write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_lineage(folder: Path) -> dict[str, Any]:
    """What was written there.

    Raises:
        NotFound: nothing was.
    """
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotFound(f"{folder.name} does not say where it comes from.") from error
    return found


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
