"""How a family of models is described, and the tensors and caches that follow from a description and a config."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.memory.blocks import Block, Switch, norm
from core.memory.config import FULL, SLIDING, Config
from core.memory.layers import CacheRule, LayerCache, grouped
from core.memory.tensors import Kind, Tensor, embedding, linear

EAGER, SDPA, FLASH = "eager", "sdpa", "flash_attention_2"
ALL_ATTENTIONS = (EAGER, SDPA, FLASH)

LayerRule = Callable[[Config, int], str]


@dataclass(frozen=True)
class Family:
    """All that tells one `model_type` from another, as transformers builds it.

    Args:
        layer: the blocks of a layer.
        defaults: what its class takes for a key that the file lacks.
        names: its spelling of the usual keys.
        outside: blocks that stand beside the layers.
        types: the type of each layer where the file does not list them.
        cache: what a layer keeps a token.
        attentions: the attention implementations that its class has.
        prepare: what is to be done to a file's object before it is read.
        ends_in_linear: its last parameter is a linear's. Where the head is tied, transformers takes that one for the
            head when it looks for what to leave alone.
    """

    layer: tuple[Block, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    outside: tuple[Block, ...] = (norm("norm"),)
    stem: str = "model"
    layers: str = "layers"
    embed: str = "embed_tokens"
    embed_width: str = "hidden_size"
    head_bias: Switch = False
    types: LayerRule = lambda c, i: FULL
    cache: CacheRule = grouped
    attentions: tuple[str, ...] = ALL_ATTENTIONS
    ends_in_linear: bool = False
    prepare: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda raw: raw

    def read(self, raw: Mapping[str, Any]) -> Config:
        """A file's numbers, by this family's spelling and defaults."""
        return Config(self.prepare(raw), self.defaults, self.names, self.types)

    def tensors(self, c: Config, stem: str = "", *, is_tied: bool | None = None) -> Iterator[Tensor]:
        """Every parameter, tied ones once."""
        stem = stem or self.stem
        tied = c.flag("tie_word_embeddings") if is_tied is None else is_tied
        yield from embedding(f"{stem}.{self.embed}", c.integer("vocab_size"), c.integer(self.embed_width))
        for block in self.outside:
            yield from _under(stem, block(c, -1))
        for i in range(c.layers - 1):
            yield from self._layer(c, stem, i)
        last = list(self._layer(c, stem, c.layers - 1))
        if tied and self.ends_in_linear:
            last[-1] = last[-1]._replace(kind=Kind.OTHER)
        yield from last
        if not tied:
            # the head is a linear layer that every quantizer leaves alone, so it counts as what it is: an embedding
            width, bias = c.integer(self.embed_width), c.flag(self.head_bias)
            yield from linear("lm_head", width, c.integer("vocab_size"), bias=bias, kind=Kind.EMBEDDING)

    def _layer(self, c: Config, stem: str, i: int) -> Iterator[Tensor]:
        for block in self.layer:
            yield from _under(f"{stem}.{self.layers}.{i}", block(c, i))

    def caches(self, c: Config) -> tuple[LayerCache, ...]:
        """What each layer keeps."""
        return tuple(self.cache(c, i) for i in range(c.layers))


def _under(prefix: str, tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    for one in tensors:
        yield one._replace(name=f"{prefix}.{one.name}")


def windowed(c: Config, _: int) -> str:
    """Every layer has the window, if there is one."""
    return SLIDING if c.optional("sliding_window") else FULL


def alternating(pattern: int, key: str = "", other: str = SLIDING) -> LayerRule:
    """Each `pattern`-th layer sees everything, the others are of the other type; `key` may hold another number."""

    def rule(c: Config, i: int) -> str:
        every = c.optional(key)
        return other if (i + 1) % (pattern if every is None else max(every, 1)) else FULL

    return rule


def late_windows(c: Config, i: int) -> str:
    """Qwen's: the window begins at a layer, and only where it is switched on."""
    is_on = c.flag("use_sliding_window") and c.optional("sliding_window")
    return SLIDING if is_on and i >= c.count("max_window_layers") else FULL
