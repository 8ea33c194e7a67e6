"""A model as far as its memory goes: read once from config.json, estimated many times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import BadConfig
from core.memory.geometry import Geometry, geometry
from core.memory.headers import Stored, table_of
from core.memory.shapes import Table, is_known, read_shapes
from core.memory.stored import Packing, packing_of


@dataclass(frozen=True)
class Model:
    """Its table of tensors, its widths (None where the config lacks the usual keys), and how its files are packed."""

    table: Table
    widths: Geometry | None
    packing: Packing | None

    @property
    def attentions(self) -> tuple[str, ...]:
        """The attention implementations that its class has."""
        return self.table.attentions

    @property
    def trained_context(self) -> int | None:
        """The longest context that it was trained for, as config.json says."""
        config = self.table.config
        return config.optional("max_position_embeddings") if config else None


def read_model(config: Mapping[str, Any], stored: Iterable[Stored] | None = None) -> Model:
    """Read a config.json; `stored`, the files' headers, is needed for types that are not described.

    Raises:
        BadConfig: a number in it is none or beyond all reason, or the type is unknown and there are no headers.
    """
    try:
        table = read_shapes(config) if stored is None or is_known(config) else table_of(config, stored)
        return Model(table, geometry(table), packing_of(config))
    except RecursionError as error:
        raise BadConfig("config.json is nested too deeply.") from error
