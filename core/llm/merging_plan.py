"""Which tensors a merged model has, and what becomes of each: found out before a weight is read.

What an adapter does to a tied embedding is done to what it was trained on: one table where both stay tied, else two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from core.catalog.stored import DTYPES as NAMES
from core.errors import AdapterMismatch, ModelBroken
from core.llm.merging_adapter import Adapter, LowRank
from core.llm.merging_base import Base, Shard
from core.llm.pickles import DTYPES

TORCH = {code: dtype for dtype, code in DTYPES.items()}


@dataclass(frozen=True)
class Made:
    """One tensor of the merged model.

    Attributes:
        name: in its files.
        source: the tensor of the base that it is made of.
        replaced: the tensor of the adapter that takes the base's place, if one does.
        low_rank: what is added then.
        bias: of the adapter, scaled by `bias_scale` and added; for a bias alone.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    replaced: str | None = None
    low_rank: LowRank | None = None
    bias: str | None = None
    bias_scale: float = 1.0

    @property
    def is_changed(self) -> bool:
        """Whether the adapter has anything to do with it."""
        return bool(self.replaced or self.low_rank or self.bias)

    @property
    def n_bytes(self) -> int:
        """What it takes in its file."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Plan:
    """The files of the merged model, each with its tensors in order."""

    files: tuple[tuple[str, tuple[Made, ...]], ...]
    dtype: str
    is_untied: bool

    @property
    def tensors(self) -> list[Made]:
        """All of them."""
        return [one for _, tensors in self.files for one in tensors]

    @property
    def n_bytes(self) -> int:
        """What all of them take."""
        return sum(one.n_bytes for one in self.tensors)

    @property
    def n_changed(self) -> int:
        """How many the adapter changes."""
        return sum(one.is_changed for one in self.tensors)

    @property
    def largest_bytes(self) -> int:
        """The most that a single one takes in float32."""
        return max(prod(one.shape) * 4 for one in self.tensors)


def plan_merge(base: Base, adapter: Adapter, dtype: str) -> Plan:
    """What a merge at a dtype (float32, bfloat16, float16) makes.

    Raises:
        AdapterMismatch: adapter and base do not go together; the first tensor that does not is named.
    """
    changes = _Changes(base, adapter)
    is_untied = changes.unties
    files = [(shard, _tensors(base, shard, changes, dtype)) for shard in base.shards]
    if is_untied and base.stored_name(f"{base.head}.weight") is None:
        files = [(shard, (*made, *_head(base, made, changes))) for shard, made in files]
    made = {one.name: one for _, tensors in files for one in tensors}
    changes.check_all_used(made)
    names = _file_names(len(files))
    return Plan(tuple((name, tensors) for name, (_, tensors) in zip(names, files, strict=True)), dtype, is_untied)


def _file_names(n_files: int) -> Iterator[str]:
    if n_files == 1:
        yield "model.safetensors"
        return
    for number in range(1, n_files + 1):
        yield f"model-{number:05d}-of-{n_files:05d}.safetensors"


def _tensors(base: Base, shard: Shard, changes: _Changes, dtype: str) -> tuple[Made, ...]:
    """Those of one file. As it is stored, what is not changed stays byte for byte, at whatever dtype it has."""
    is_kept = dtype == base.stored_as
    found = []
    for one in shard.tensors:
        if one.dtype not in TORCH:
            raise ModelBroken(
                f"{one.name} of {base.source.name} is stored as {one.dtype}, which cannot be merged into."
            )
        plain = Made(one.name, one.name, one.shape, TORCH[one.dtype])
        made = changes.of(plain)
        is_float = made.dtype.is_floating_point and one.dtype in NAMES
        if is_float and (made.is_changed or not is_kept):
            made = replace(made, dtype=getattr(torch, dtype))
        found.append(made)
    return tuple(found)


def _head(base: Base, made: tuple[Made, ...], changes: _Changes) -> tuple[Made, ...]:
    """The output table that a model gets when it is no longer the input table."""
    stored = base.stored_name(f"{base.embedding}.weight")
    table = next((one for one in made if one.name == stored), None)
    if table is None:
        return ()
    head = Made(f"{base.head}.weight", table.source, table.shape, table.dtype)
    return (changes.of(head),)


class _Changes:
    """What the adapter does, by the names of the merged model's tensors."""

    def __init__(self, base: Base, adapter: Adapter) -> None:
        self._base, self._adapter = base, adapter
        self._low_rank, self._replaced = dict(adapter.low_rank), dict(adapter.replaced)
        self.unties = base.is_tied and self._settle_tie()
        self._by_name: dict[str, Made] = {}
        for parameter, key in sorted(self._replaced.items()):
            self._add_replaced(parameter, key)
        for module, one in sorted(self._low_rank.items()):
            self._add_low_rank(module, one)

    def of(self, plain: Made) -> Made:
        """A tensor with what is done to it."""
        change = self._by_name.get(plain.name)
        source = self._source(plain)
        if change is None:
            return replace(plain, source=source)
        return replace(change, name=plain.name, source=source, shape=plain.shape, dtype=plain.dtype)

    def check_all_used(self, made: dict[str, Made]) -> None:
        """Nothing of the adapter may be left over."""
        for name, change in sorted(self._by_name.items()):
            if name not in made:
                self._refuse(change.replaced or change.bias or (change.low_rank.a if change.low_rank else name))

    def _source(self, plain: Made) -> str:
        """Of a head that is untied, the table that it was."""
        if self.unties and plain.name == self._stored_head():
            return self._base.stored_name(f"{self._base.embedding}.weight") or plain.source
        return plain.source

    def _stored_head(self) -> str:
        head = f"{self._base.head}.weight"
        return self._base.stored_name(head) or head

    def _settle_tie(self) -> bool:
        """Whether input and output table part. Where they do not, what stands for the head stands for both."""
        table, head = f"{self._base.embedding}.weight", f"{self._base.head}.weight"
        shared = [one for one in (table, head) if one in self._replaced and not self._is_whole(one)]
        own = [one for one in (table, head) if one in self._replaced and self._is_whole(one)]
        own += [one for one in (self._base.embedding, self._base.head) if one in self._low_rank]
        unties = bool(own) and not self._adapter.keeps_tie
        if shared:  # written into the table that both share
            key = self._replaced[shared[0]]
            self._replaced = {name: one for name, one in self._replaced.items() if name not in shared}
            self._replaced |= {name: key for name in ((table, head) if unties else (table,)) if name not in own}
        if not unties:
            self._replaced.pop(head, None)
            self._low_rank.pop(self._base.head, None)
        return unties

    def _is_whole(self, parameter: str) -> bool:
        module = parameter.rpartition(".")[0]
        return any(module == one or module.endswith(f".{one}") for one in self._adapter.whole)

    def _add_replaced(self, parameter: str, key: str) -> None:
        shape = self._adapter.shapes[key]
        expected = self._base.parameters.get(parameter)
        if expected is None or tuple(expected.shape) != shape:
            self._refuse(key, shape, tuple(expected.shape) if expected is not None else None)
        name = self._stored(parameter, key)
        self._by_name[name] = replace(self._made(name), replaced=key)

    def _add_low_rank(self, module: str, one: LowRank) -> None:
        found = self._base.modules.get(module)
        if not isinstance(found, nn.Linear | Conv1D | nn.Embedding) or one.is_embedding != isinstance(
            found, nn.Embedding
        ):
            self._refuse(one.a)
        self._check_shapes(module, one)
        name = self._stored(f"{module}.weight", one.a)
        self._by_name[name] = replace(self._made(name), low_rank=one)
        if one.bias:
            bias = self._stored(f"{module}.bias", one.bias)
            self._by_name[bias] = replace(self._made(bias), bias=one.bias, bias_scale=one.scale)

    def _check_shapes(self, module: str, one: LowRank) -> None:
        weight: tuple[int, ...] = tuple(self._base.parameters[f"{module}.weight"].shape)
        n_in, n_out = weight if self._base.is_transposed(module) else weight[::-1]
        wanted: dict[str, tuple[int, ...]] = {one.a: (one.rank, n_in), one.b: (n_out, one.rank)}
        wanted |= {one.magnitude: (n_out,)} if one.magnitude else {}
        wanted |= {one.bias: (n_out,)} if one.bias else {}
        for key, expected in wanted.items():
            if self._adapter.shapes[key] != expected:
                self._refuse(key, self._adapter.shapes[key], expected)

    def _stored(self, parameter: str, key: str) -> str:
        if self.unties and parameter == f"{self._base.head}.weight":
            return self._stored_head()
        name = self._base.stored_name(parameter)
        if name is None:
            self._refuse(key)
        return str(name)

    def _made(self, name: str) -> Made:
        return self._by_name.get(name) or Made(name, name, (), torch.float32)

    def _refuse(self, key: str, is_there: tuple[int, ...] = (), expected: tuple[int, ...] | None = None) -> None:
        name = self._adapter.folder.name
        why = "which its modules or files have no place for"
        if expected:
            why = f"of the shape {_shape(is_there)}, where the base has {_shape(expected)}"
        raise AdapterMismatch(
            f"The adapter {name} does not go with {self._base.source.name}: it holds {key}, {why}.",
            "Use the base model that it was trained on.",
        )


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(str(one) for one in shape)
