"""How HTML is made here, on the page and in files: templates of our own, and whatever they show escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

E = TypeVar("E", bound=Environment)


def environment(folder: Path, kind: type[E], **options: Any) -> E:
    """The templates of a folder, with escaping on; what a template names and nobody gives is an error."""
    return kind(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        **options,
    )
