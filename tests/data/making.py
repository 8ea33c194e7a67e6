"""What the tests of data share: a file with rows, and reading it without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.data.read import read_data
from core.data.spec import DataFields
from core.data.values import Data

TALK = [{"role": "user", "content": "Why is the sky blue?"}, {"role": "assistant", "content": "It scatters light."}]
OTHER = [{"role": "user", "content": "And at night?"}, {"role": "assistant", "content": "There is none."}]


def written(path: Path, *rows: Any) -> Path:
    """The rows as JSON Lines; a text is a line as it stands."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read(data: Path | str, **fields: Any) -> Data:
    """The data, from a home that holds nothing."""
    home = data.parent if isinstance(data, Path) else Path("/nonexistent")
    return read_data(DataFields(data=str(data), **fields), home, lambda message: None)
