"""Layers of experts: transformers keeps the experts of a layer as one fused parameter, beside a router."""

from __future__ import annotations

from collections.abc import Iterator

from core.memory.blocks import Block, Condition, Switch
from core.memory.config import Config
from core.memory.tensors import Kind, Tensor, linear


def experts(
    prefix: str = "mlp",
    router: str = "gate",
    *,
    number: str = "num_local_experts",
    width: str = "intermediate_size",
    router_bias: Switch = False,
) -> Block:
    """A router and gated experts, each of `width`."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        n, inner = c.integer(number), c.integer(width)
        yield from linear(f"{prefix}.{router}", c.hidden, n, bias=c.flag(router_bias), kind=Kind.OTHER)
        yield Tensor(f"{prefix}.experts.gate_up_proj", (n, 2 * inner, c.hidden), Kind.FUSED_EXPERT)
        yield Tensor(f"{prefix}.experts.down_proj", (n, c.hidden, inner), Kind.FUSED_EXPERT)

    return tensors


def biased_experts(c: Config, _: int) -> Iterator[Tensor]:
    """The experts of gpt-oss: the other way round than elsewhere, and with biases."""
    n, inner = c.integer("num_local_experts"), c.integer("intermediate_size")
    yield from linear("mlp.router", c.hidden, n, bias=True, kind=Kind.OTHER)
    yield Tensor("mlp.experts.gate_up_proj", (n, c.hidden, 2 * inner), Kind.FUSED_EXPERT)
    yield Tensor("mlp.experts.gate_up_proj_bias", (n, 2 * inner), Kind.OTHER)
    yield Tensor("mlp.experts.down_proj", (n, inner, c.hidden), Kind.FUSED_EXPERT)
    yield Tensor("mlp.experts.down_proj_bias", (n, c.hidden), Kind.OTHER)


def shared_experts(prefix: str = "mlp.shared_experts", *, number: str = "n_shared_experts") -> Block:
    """The experts that every token passes through, made as one MLP that is wider by their number."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        inner = c.integer("moe_intermediate_size") * c.count(number)
        if inner:
            yield from linear(f"{prefix}.gate_proj", c.hidden, inner)
            yield from linear(f"{prefix}.up_proj", c.hidden, inner)
            yield from linear(f"{prefix}.down_proj", inner, c.hidden)

    return tensors


def shared_gate(c: Config, _: int) -> Iterator[Tensor]:
    """How much of the shared expert a token takes: a linear of one output, quantized like any other."""
    yield from linear("mlp.shared_expert_gate", c.hidden, 1)


def every(period: str, offset: str) -> Condition:
    """Each layer whose index is `offset` beyond a multiple of `period`, both keys of the config."""
    return lambda c, i: i % c.integer(period) == c.count(offset)


def after_dense(c: Config, i: int) -> bool:
    """Layers behind the first dense ones, as DeepSeek's."""
    return i >= c.count("first_k_dense_replace")


def by_sparse_step(c: Config, i: int) -> bool:
    """Layers that have experts, as Qwen's: each `decoder_sparse_step`-th that is not listed as dense."""
    listed = i in c.integers("mlp_only_layers")
    return not listed and c.count("num_experts") > 0 and (i + 1) % c.integer("decoder_sparse_step") == 0
