"""The blocks that a layer of a transformer is put together from, each giving its tensors.

A block is made once, by a family's description, and asked for every layer with that model's config. Experts and
mixers without attention are in `experts` and `mixers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from core.errors import BadConfig
from core.memory.config import Config
from core.memory.tensors import Kind, Tensor, conv1d, embedding, layer_norm, linear

Block = Callable[[Config, int], Iterable[Tensor]]
Condition = Callable[[Config, int], bool]
MOST_HEADS = 256

Switch = bool | str  # fixed, or the key of the config that says so


def when(condition: Condition, *blocks: Block) -> Block:
    """Blocks of those layers alone for which the condition holds; layer -1 is what stands outside the layers."""

    def tensors(c: Config, i: int) -> Iterator[Tensor]:
        if condition(c, i):
            for block in blocks:
                yield from block(c, i)

    return tensors


def unless(condition: Condition, *blocks: Block) -> Block:
    """Blocks of those layers for which the condition does not hold."""
    return when(lambda c, i: not condition(c, i), *blocks)


def norm(*names: str, bias: Switch = False, width: str = "hidden_size") -> Block:
    """Norms over the residual stream."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        for name in names:
            yield from layer_norm(name, c.integer(width), bias=c.flag(bias))

    return tensors


def attention(
    prefix: str = "self_attn",
    *,
    out: str = "o_proj",
    bias: Switch = False,
    out_bias: Switch = False,
    query_factor: int = 1,
    kind: Kind = Kind.LINEAR,
) -> Block:
    """Grouped-query attention with a projection each for queries, keys and values.

    A `query_factor` of 2 is of models whose query projection also makes an output gate.
    """

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        yield from linear(f"{prefix}.q_proj", c.hidden, q * query_factor, bias=c.flag(bias), kind=kind)
        yield from linear(f"{prefix}.k_proj", c.hidden, kv, bias=c.flag(bias), kind=kind)
        yield from linear(f"{prefix}.v_proj", c.hidden, kv, bias=c.flag(bias), kind=kind)
        yield from linear(f"{prefix}.{out}", q, c.hidden, bias=c.flag(out_bias), kind=kind)

    return tensors


def fused_attention(
    prefix: str,
    qkv: str,
    out: str,
    *,
    bias: Switch = False,
    out_bias: Switch = False,
    kind: Kind = Kind.LINEAR,
    kv_heads: Callable[[Config], int] = lambda c: c.kv_heads,
) -> Block:
    """Attention whose queries, keys and values come from one projection."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        q, kv = c.heads * c.head_dim, kv_heads(c) * c.head_dim
        yield from linear(f"{prefix}.{qkv}", c.hidden, q + 2 * kv, bias=c.flag(bias), kind=kind)
        yield from linear(f"{prefix}.{out}", q, c.hidden, bias=c.flag(out_bias), kind=kind)

    return tensors


def head_norms(*names: str, prefix: str = "self_attn", bias: Switch = False) -> Block:
    """Norms of one head's width, shared by all heads of a layer."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        for name in names:
            yield from layer_norm(f"{prefix}.{name}", c.head_dim, bias=c.flag(bias))

    return tensors


def wide_norms(query: str = "q_norm", key: str = "k_norm", *, prefix: str = "self_attn") -> Block:
    """Norms over all query heads together and all key heads together."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        yield from layer_norm(f"{prefix}.{query}", c.heads * c.head_dim)
        yield from layer_norm(f"{prefix}.{key}", c.kv_heads * c.head_dim)

    return tensors


def gated_mlp(
    prefix: str = "mlp",
    gate: str = "gate_proj",
    up: str = "up_proj",
    down: str = "down_proj",
    *,
    width: str = "intermediate_size",
    bias: Switch = False,
) -> Block:
    """The usual MLP of three projections."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        inner = c.integer(width)
        yield from linear(f"{prefix}.{gate}", c.hidden, inner, bias=c.flag(bias))
        yield from linear(f"{prefix}.{up}", c.hidden, inner, bias=c.flag(bias))
        yield from linear(f"{prefix}.{down}", inner, c.hidden, bias=c.flag(bias))

    return tensors


def fused_gated_mlp(prefix: str = "mlp", gate_up: str = "gate_up_proj", down: str = "down_proj") -> Block:
    """The same with gate and up in one projection."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        inner = c.integer("intermediate_size")
        yield from linear(f"{prefix}.{gate_up}", c.hidden, 2 * inner)
        yield from linear(f"{prefix}.{down}", inner, c.hidden)

    return tensors


def plain_mlp(
    up: str,
    down: str,
    *,
    bias: Switch = False,
    kind: Kind = Kind.LINEAR,
    width: Callable[[Config], int] = lambda c: c.integer("intermediate_size"),
) -> Block:
    """The MLP of two projections, without a gate."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        yield from linear(up, c.hidden, width(c), bias=c.flag(bias), kind=kind)
        yield from linear(down, width(c), c.hidden, bias=c.flag(bias), kind=kind)

    return tensors


def transposed_layer(c: Config, _: int) -> Iterator[Tensor]:
    """The linears of a GPT-2 layer."""
    inner = c.optional("n_inner", least=1) or 4 * c.hidden
    yield from conv1d("attn.c_attn", c.hidden, 3 * c.hidden)
    yield from conv1d("attn.c_proj", c.hidden, c.hidden)
    yield from conv1d("mlp.c_fc", c.hidden, inner)
    yield from conv1d("mlp.c_proj", inner, c.hidden)


def positions(name: str, *, key: str = "max_position_embeddings", further: int = 0) -> Block:
    """A learned vector for each position; OPT keeps two rows more than it has positions."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        yield from embedding(name, c.integer(key) + further, c.hidden)

    return tensors


def vector(name: str, width: Callable[[Config], int], kind: Kind = Kind.OTHER) -> Block:
    """A parameter of one dimension."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        yield Tensor(name, (width(c),), kind)

    return tensors


def norms_of_each_head(c: Config, _: int) -> Iterator[Tensor]:
    """StableLM's optional norms: one for every single head."""
    if max(c.heads, c.kv_heads) > MOST_HEADS:
        raise BadConfig(f"config.json: a norm for each of more than {MOST_HEADS} heads; no such model exists.")
    for name, heads in (("q_layernorm", c.heads), ("k_layernorm", c.kv_heads)):
        for head in range(heads):
            yield from layer_norm(f"self_attn.{name}.norms.{head}", c.head_dim)


def square_norms(c: Config, _: int) -> Iterator[Tensor]:
    """Cohere's optional norms: a scale for each head in one parameter."""
    yield Tensor("self_attn.q_norm.weight", (c.heads, c.head_dim), Kind.NORM)
    yield Tensor("self_attn.k_norm.weight", (c.kv_heads, c.head_dim), Kind.NORM)


def where(key: str) -> Condition:
    """Layers of a model whose config switches something on."""
    return lambda c, i: c.flag(key)
