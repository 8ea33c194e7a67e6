"""Where models come from, and which of them are on this machine. No torch, no network: the page asks too.

`resolve` finds the one that a name means; `core.catalog.listing` describes all of them. What a model is in memory is
`core.llm.loading`'s business, and what comes over the network `core.hub`'s.
"""

from __future__ import annotations

from core.catalog.builtin import (
    BUILTIN_NAME,
    BUILTIN_REVISION,
    STAMP_NAME,
    Report,
    builtin_folder,
    builtin_is_ready,
    builtin_stamp,
    fetch_builtin_gguf,
)
from core.catalog.names import nearest
from core.catalog.source import ModelSource, resolve

__all__ = [
    "BUILTIN_NAME",
    "BUILTIN_REVISION",
    "STAMP_NAME",
    "ModelSource",
    "Report",
    "builtin_folder",
    "builtin_is_ready",
    "builtin_stamp",
    "fetch_builtin_gguf",
    "nearest",
    "resolve",
]
