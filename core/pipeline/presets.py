"""Pipelines to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.preset import Preset

PRESETS: tuple[Preset, ...] = ()
BY_NAME: Mapping[str, Preset] = MappingProxyType({one.name: one for one in PRESETS})
