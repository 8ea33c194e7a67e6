"""A model on this machine: its folder, its config.json or its GGUF file, opened as far as the estimate needs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.errors import BadConfig, ModelNotFound, WorkbenchError
from core.memory.gguf import read_gguf
from core.memory.headers import file_reader, read_folder
from core.memory.model import Model, read_model
from core.memory.shapes import is_known

MOST_CONFIG_BYTES = 4_000_000


def open_model(path: Path) -> Model:
    """Read a folder with config.json, such a file itself, or a GGUF file.

    Raises:
        ModelNotFound: there is none of them.
        BadConfig: config.json is broken.
        ModelBroken: a header is damaged.
    """
    if path.suffix == ".gguf" and path.is_file():
        found = read_gguf(file_reader(path))
        return read_model(found.config(), found.tensors)
    file = path / "config.json" if path.is_dir() else path
    config = read_config(file)
    return read_model(config, None if is_known(config) else read_folder(file.parent))


def read_config(file: Path) -> dict[str, Any]:
    """The object in a config.json.

    Raises:
        ModelNotFound: there is no such file.
        BadConfig: it holds no JSON object, or is far too long for one.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(MOST_CONFIG_BYTES + 1)
    except OSError as error:
        raise ModelNotFound(f"There is no model in {str(file)!r}: {error.strerror}.") from error
    if len(text) > MOST_CONFIG_BYTES:
        raise BadConfig(f"config.json is longer than {MOST_CONFIG_BYTES:,} bytes: it is none.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadConfig("config.json holds no valid JSON.") from error
    if not isinstance(found, dict):
        raise BadConfig("config.json holds no object.")
    return found


def try_open_model(path: Path) -> Model | None:
    """The same; None where its files do not say enough, which is the loader's to explain.

    Raises:
        BadConfig: its config.json describes no model that could exist.
    """
    try:
        return open_model(path)
    except BadConfig:
        raise
    except WorkbenchError:
        return None
