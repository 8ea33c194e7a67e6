"""A job that is filled in, to begin with: what every kind that offers such shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    """A name, what it is, and the fields of the kind's Spec that are not the usual ones."""

    name: str
    title: str
    help: str
    fields: Mapping[str, Any]
