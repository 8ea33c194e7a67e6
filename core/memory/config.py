"""One model's config.json as numbers to reckon with: its class's defaults filled in, every value checked.

The files come from strangers, so nothing is reckoned with before it is known to be sane: 10^12 layers are one sentence,
not a loop. What the numbers mean for a model's tensors is not said here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from core.errors import BadConfig

FULL, SLIDING, CHUNKED, LINEAR_ATTENTION, CONV = (
    "full_attention",
    "sliding_attention",
    "chunked_attention",
    "linear_attention",
    "conv",
)
MOE, MLP = "moe", "mlp"  # layers that are nothing else
OTHER_SPELLINGS = {"attention": FULL, "mamba": LINEAR_ATTENTION}  # of older files
LAYER_TYPES = {FULL, SLIDING, CHUNKED, LINEAR_ATTENTION, CONV, MOE, MLP}

MOST_LAYERS = 1_024
MOST = 2**27  # a vocabulary or a width of 134 million: a hundred times what any model has


class Config:
    """The keys of a config.json that decide a model's shape.

    Args:
        raw: the file's object.
        defaults: what the model's class takes where the file has no such key; a `null` in the file counts as said.
        names: this family's own spelling of the usual keys, as `{"hidden_size": "n_embd"}`; both are understood.
        rule: the type of the i-th layer where the file does not list `layer_types`.
    """

    def __init__(
        self,
        raw: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
        rule: Callable[[Config, int], str] | None = None,
    ) -> None:
        if not isinstance(raw, Mapping):
            raise BadConfig(f"config.json holds {_shown(raw)}, where an object is expected.")
        self.raw = raw
        self._defaults = defaults or {}
        self._names = names or {}
        self._rule = rule

    def value(self, key: str) -> Any:
        """What the file says, else the class's default, else None."""
        for name in (self._names.get(key, key), key):
            if name in self.raw:
                return self.raw[name]
        return self._defaults.get(key)

    def optional(self, key: str, *, least: int = 0) -> int | None:
        """A whole number, or None where neither file nor class has one.

        Raises:
            BadConfig: it is no whole number, negative, or beyond what any model has.
        """
        value = self.value(key)
        if value is None:
            return None
        most = MOST_LAYERS if key in ("num_hidden_layers", "depth") else MOST
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadConfig(f"config.json: {key} is {_shown(value)}, where a whole number is expected.")
        if not least <= value <= most:
            raise BadConfig(f"config.json: {key} is {_shown(value)}; it must lie between {least} and {most:,}.")
        return value

    def integer(self, key: str) -> int:
        """A whole number of at least 1 that must be there.

        Raises:
            BadConfig: it is missing, or `optional` refuses it.
        """
        value = self.optional(key, least=1)
        if value is None:
            raise BadConfig(f"config.json does not say {self._names.get(key, key)}.")
        return value

    def count(self, key: str) -> int:
        """A whole number that may be nothing: 0 where it is missing."""
        return self.optional(key) or 0

    def factor(self, key: str) -> float:
        """A number by which a width is multiplied: 1 where it is missing."""
        value = self.value(key)
        if value is None:
            return 1.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1000:
            raise BadConfig(f"config.json: {key} is {_shown(value)}, where a number between 0 and 1,000 is expected.")
        return float(value)

    def flag(self, wanted: bool | str) -> bool:
        """A switch: a fixed one, or the key that holds it."""
        if isinstance(wanted, bool):
            return wanted
        value = self.value(wanted)
        if value is not None and not isinstance(value, bool):
            raise BadConfig(f"config.json: {wanted} is {_shown(value)}, where true or false is expected.")
        return bool(value)

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; empty where it is missing."""
        found = self._list(key)
        for value in found:
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
                raise BadConfig(f"config.json: {key} lists {_shown(value)}, where a whole number is expected.")
        return tuple(found)

    def part(self, key: str) -> Mapping[str, Any]:
        """An object inside the file; empty where it is missing."""
        value = self.value(key)
        if value is not None and not isinstance(value, Mapping):
            raise BadConfig(f"config.json: {key} is {_shown(value)}, where an object is expected.")
        return value or {}

    @cached_property
    def hidden(self) -> int:
        """The width of the residual stream."""
        return self.integer("hidden_size")

    @cached_property
    def layers(self) -> int:
        """How many layers there are."""
        return self.integer("num_hidden_layers")

    @cached_property
    def heads(self) -> int:
        """Query heads of a layer."""
        return self.integer("num_attention_heads")

    @cached_property
    def kv_heads(self) -> int:
        """Key heads of a layer: as many as query heads unless said."""
        return self.optional("num_key_value_heads", least=1) or self.heads

    @cached_property
    def head_dim(self) -> int:
        """The width of one head: hidden / heads unless said."""
        return self.optional("head_dim", least=1) or self.hidden // self.heads

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The type of each layer: as listed in the file, else by the family's rule."""
        listed = self._list("layer_types")
        if not listed:
            return tuple(self._rule(self, i) if self._rule else FULL for i in range(self.layers))
        if len(listed) != self.layers:
            raise BadConfig(f"config.json lists {len(listed)} layer_types for {self.layers} layers.")
        return tuple(map(_layer_type, listed))

    def _list(self, key: str) -> list[Any]:
        value = self.value(key)
        if value is not None and not isinstance(value, list | tuple):
            raise BadConfig(f"config.json: {key} is {_shown(value)}, where a list is expected.")
        return list(value or ())[: MOST_LAYERS + 1]


def _layer_type(value: Any) -> str:
    word = OTHER_SPELLINGS.get(value, value) if isinstance(value, str) else ""
    if word not in LAYER_TYPES:
        raise BadConfig(f"config.json: layer_types names {_shown(value)}, which is not known here.")
    return word


def _shown(value: Any) -> str:
    """A stranger's value in a sentence: short, and without walking through what it holds."""
    if isinstance(value, Mapping | list | tuple):
        return "an object" if isinstance(value, Mapping) else "a list"
    if isinstance(value, int) and abs(value) > 10**15:
        return f"a number of more than 15 digits{' below zero' if value < 0 else ''}"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else f"{value[:37]}…")
    return repr(value) if isinstance(value, int | float | None) else f"a {type(value).__name__}"
