"""A tensor by its name, shape and kind: what a model is made of, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from math import prod
from typing import NamedTuple


class Kind(StrEnum):
    """What a tensor is to a quantizer."""

    LINEAR = "linear"  # the weight of a plain linear layer: the only kind that bitsandbytes shrinks
    LINEAR_SUBCLASS = "linear_subclass"  # of a class derived from it, which bitsandbytes passes over without a word
    FUSED_EXPERT = "fused_expert"  # the experts of a layer as one 3-D parameter, which it passes over too
    EMBEDDING = "embedding"  # into the model and, the head, out of it
    NORM = "norm"
    CONV = "conv"
    OTHER = "other"  # biases, routers, states, sinks


class Tensor(NamedTuple):
    """One parameter; `is_transposed` says that the shape is (in, out), as GPT-2 keeps its linears."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    is_transposed: bool = False

    @property
    def n_elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def n_out(self) -> int:
        """Output features of a linear."""
        return self.shape[-1] if self.is_transposed else self.shape[0]

    @property
    def n_in(self) -> int:
        """Input features of a linear."""
        return self.n_elements // max(self.n_out, 1)


def linear(name: str, n_in: int, n_out: int, *, bias: bool = False, kind: Kind = Kind.LINEAR) -> Iterator[Tensor]:
    """A linear layer's weight and, where it has one, its bias."""
    yield Tensor(f"{name}.weight", (n_out, n_in), kind)
    if bias:
        yield Tensor(f"{name}.bias", (n_out,), Kind.OTHER)


def conv1d(name: str, n_in: int, n_out: int) -> Iterator[Tensor]:
    """A linear layer as GPT-2 keeps it: transposed, always with a bias."""
    yield Tensor(f"{name}.weight", (n_in, n_out), Kind.LINEAR, is_transposed=True)
    yield Tensor(f"{name}.bias", (n_out,), Kind.OTHER)


def layer_norm(name: str, width: int, *, bias: bool = False) -> Iterator[Tensor]:
    """A norm's scale and, where it has one, its bias."""
    yield Tensor(f"{name}.weight", (width,), Kind.NORM)
    if bias:
        yield Tensor(f"{name}.bias", (width,), Kind.NORM)


def embedding(name: str, rows: int, width: int) -> Iterator[Tensor]:
    """A table of vectors."""
    yield Tensor(f"{name}.weight", (rows, width), Kind.EMBEDDING)
