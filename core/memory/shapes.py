"""What a model is made of, from its config.json alone: the table of its tensors and what each layer keeps a token.

For model types that are not described here there is `headers`, which reads the files themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.errors import BadConfig
from core.memory.config import Config
from core.memory.families import FAMILIES
from core.memory.families.vision import SEEING, Seeing
from core.memory.family import ALL_ATTENTIONS, Family
from core.memory.layers import LayerCache
from core.memory.tensors import Kind, Tensor

BUILT_BY = "transformers 5.23"
SHARED_WITH_VISION = ("spatial_merge_size", "multimodal_projector_bias")
MOST_PARAMETERS = 10**14  # fifty times the largest that was published


@dataclass(frozen=True)
class Table:
    """A model's tensors; `caches` is None where nobody knows what it keeps a token.

    Args:
        model_type: as config.json has it.
        tensors: every parameter, tied ones once.
        caches: what each layer keeps.
        config: the text model's numbers; None where the shapes come from the files' headers.
        source: where the shapes are from, in words.
        attentions: the attention implementations that the class has.
    """

    model_type: str
    tensors: tuple[Tensor, ...]
    caches: tuple[LayerCache, ...] | None
    config: Config | None
    source: str
    attentions: tuple[str, ...] = ALL_ATTENTIONS

    @cached_property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(one.n_elements for one in self.tensors)

    def count(self, *kinds: Kind) -> int:
        """How many of them are in tensors of these kinds."""
        return sum(self._counts[kind] for kind in kinds)

    @cached_property
    def _counts(self) -> Counter[Kind]:
        found: Counter[Kind] = Counter()
        for one in self.tensors:
            found[one.kind] += one.n_elements
        return found

    @cached_property
    def linears(self) -> tuple[Tensor, ...]:
        """The tensors that bitsandbytes shrinks."""
        return tuple(one for one in self.tensors if one.kind is Kind.LINEAR)

    @cached_property
    def linear_shapes(self) -> Counter[tuple[int, int]]:
        """(weights, output rows) of those linears, each with how often it occurs."""
        return Counter((one.n_elements, one.n_out) for one in self.linears)

    @cached_property
    def layer_kinds(self) -> Counter[LayerCache]:
        """What layers keep, each with how many layers keep it: counted once, since an answer asks hundreds of times."""
        return Counter(self.caches or ())

    @cached_property
    def n_words(self) -> int:
        """The rows of the largest embedding: the words that the model knows."""
        return max((one.shape[0] for one in self.tensors if one.kind is Kind.EMBEDDING and one.shape), default=0)

    @cached_property
    def largest_linear(self) -> int:
        """Elements of the largest of them; 0 where there is none."""
        return max((one.n_elements for one in self.linears), default=0)


def is_known(raw: Mapping[str, Any]) -> bool:
    """Whether a config's model type is described here."""
    if not isinstance(raw, Mapping):
        return False
    kind = raw.get("model_type")
    if not isinstance(kind, str):
        return False
    seeing = SEEING.get(kind)
    return kind in FAMILIES if seeing is None else not any(raw.get(key) for key in seeing.not_described)


def read_shapes(raw: Mapping[str, Any]) -> Table:
    """The table of a described model type.

    Raises:
        BadConfig: the type is not described, or a number in the file is no number or beyond all reason.
    """
    kind = _model_type(raw)
    if kind in SEEING and is_known(raw):
        return _seeing(kind, SEEING[kind], Config(raw))
    if kind not in FAMILIES:
        raise BadConfig(
            f"The model type {kind!r} is not described here.",
            "Its sizes can be read from the headers of its .safetensors files.",
        )
    return _plain(kind, FAMILIES[kind], raw)


def _model_type(raw: Mapping[str, Any]) -> str:
    kind = Config(raw).value("model_type")
    if not isinstance(kind, str) or not kind:
        raise BadConfig("config.json does not say its model_type.")
    return kind[:100]


def _plain(kind: str, family: Family, raw: Mapping[str, Any]) -> Table:
    c = family.read(raw)
    return _checked(kind, tuple(family.tensors(c)), family, c)


def _seeing(kind: str, how: Seeing, outer: Config) -> Table:
    family = FAMILIES[how.text]
    text = family.read(outer.part("text_config") or outer.raw)  # older files hold the text model's keys themselves
    shared = {key: outer.raw[key] for key in SHARED_WITH_VISION if key in outer.raw}
    seen = outer.part("vision_config")
    vision = Config({**shared, **seen} if seen else {}, how.vision_defaults)
    said = outer.value("tie_word_embeddings")
    is_tied = how.is_tied_by_default if said is None else outer.flag("tie_word_embeddings")
    tensors = (*how.beside(text, vision), *family.tensors(text, how.stem, is_tied=is_tied))
    return _checked(kind, tensors, family, text)


def _checked(kind: str, tensors: tuple[Tensor, ...], family: Family, c: Config) -> Table:
    source = f"config.json, by the shapes that {BUILT_BY} builds for {kind}"
    table = Table(kind, tensors, family.caches(c), c, source, family.attentions)
    if table.parameters > MOST_PARAMETERS:
        raise BadConfig("config.json describes a model of more than 10^14 parameters: no such model exists.")
    return table
