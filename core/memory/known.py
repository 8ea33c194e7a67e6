"""Public models whose config.json comes with the package, so that they can be estimated without a network or a folder.

The files in `configs/` are copies of what each repository publishes, as far as it decides shapes.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from core.catalog import resolve
from core.errors import ModelNotFound, WorkbenchError
from core.memory.files import open_model, read_config
from core.memory.model import Model, read_model

FOLDER = Path(__file__).parent / "configs"
KNOWN_ARE = "Choose one that is listed, or give its config.json."


@cache
def names() -> tuple[str, ...]:
    """The models that are known, by their names on the Hub."""
    return tuple(sorted((path.stem.replace("--", "/") for path in FOLDER.glob("*.json")), key=str.lower))


def config_of(name: str) -> dict[str, Any]:
    """The config.json of a known model.

    Raises:
        ModelNotFound: it is none of them.
    """
    if name not in names():  # before a path is made of it: a name may hold anything
        near = get_close_matches(name[:200], names(), n=1)
        raise ModelNotFound(
            f"There is no model {name[:200]!r} here.", f"Did you mean {near[0]}?" if near else KNOWN_ARE
        )
    return read_config(FOLDER / f"{name.replace('/', '--')}.json")


@cache
def known_model(name: str) -> Model:
    """A known model, read once.

    Raises:
        ModelNotFound: it is none of them.
    """
    return read_model(config_of(name))


def open_here(name: str, home: Path) -> Model:
    """A known model, or the folder, config.json or GGUF file of that path on this machine.

    Raises:
        ModelNotFound: it is neither.
        BadConfig: its config.json is broken.
        ModelBroken: a header is damaged.
    """
    if name in names():
        return known_model(name)
    try:
        path = Path(name).expanduser()
        return open_model(path if path.is_file() else resolve(name, home).path)
    except (OSError, RuntimeError, ValueError) as error:  # a name too long for a file, `~nobody`
        if isinstance(error, WorkbenchError):
            raise
        raise ModelNotFound(f"There is no model {name[:200]!r} on this machine.") from error
