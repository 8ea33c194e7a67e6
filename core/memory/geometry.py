"""The few widths that decide what a model needs while it works, read off its table of tensors."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import BadConfig
from core.memory.config import Config
from core.memory.shapes import Table
from core.memory.tensors import Kind, Tensor

LINEARS = (Kind.LINEAR, Kind.LINEAR_SUBCLASS)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Widths in numbers a token: of the residual stream, of all query heads, of all key heads, of the MLP.

    `inner` counts what a token passes through: with experts, those that it is routed to.
    """

    hidden: int
    query: int
    keys: int
    inner: int
    heads: int
    kv_heads: int
    layers: int
    vocab: int
    has_attention: bool
    is_gated: bool
    has_head_norms: bool


def geometry(table: Table) -> Geometry | None:
    """The widths of a model; None where its config lacks the usual keys.

    Raises:
        BadConfig: the model is described here and its config is broken.
    """
    if table.config is None:
        return None
    c = table.config
    names = {one.name.rpartition(".layers.")[2] for one in table.tensors}
    has_attention = c.value("num_attention_heads") is not None
    heads, kv_heads = (c.heads, c.kv_heads) if has_attention else (1, 1)
    head_dim = c.head_dim if has_attention else c.hidden
    return Geometry(
        hidden=c.hidden,
        query=heads * head_dim,
        keys=kv_heads * head_dim,
        inner=_inner(table, c),
        heads=heads,
        kv_heads=kv_heads,
        layers=c.layers,
        vocab=c.integer("vocab_size"),
        has_attention=has_attention,
        is_gated=any("gate_proj" in name or "gate_up" in name or ".w3" in name for name in names),
        has_head_norms=any("q_norm" in name or "q_layernorm" in name for name in names),
    )


def _inner(table: Table, c: Config) -> int:
    """The widest thing that a token passes through inside a layer."""
    into = [one for one in table.tensors if one.kind in LINEARS and one.n_out == c.hidden]
    dense = max((one.n_in for one in into if not _is_of_tower(one) and not _is_attention(one)), default=c.hidden)
    experts = [one for one in table.tensors if one.kind is Kind.FUSED_EXPERT and "down" in one.name]
    routed = max((_other(one, c.hidden) for one in experts), default=0) * _experts_a_token(c)
    return max(dense, routed)


def _is_of_tower(one: Tensor) -> bool:
    return ".visual." in one.name or ".vision_tower." in one.name


def _is_attention(one: Tensor) -> bool:
    return "attn." in one.name or "attention." in one.name


def _other(one: Tensor, hidden: int) -> int:
    """The inner width of fused experts, which some models keep the other way round."""
    return one.shape[1] if one.shape[2] == hidden else one.shape[2]


def _experts_a_token(c: Config) -> int:
    for key in ("num_experts_per_tok", "experts_per_token", "moe_top_k"):
        if found := c.optional(key, least=1):
            return found
    return 2


def text_linears(table: Table) -> tuple[Tensor, ...]:
    """The text model's linears, as adapters can be put on them: without those of an image tower."""
    return tuple(one for one in table.tensors if one.kind in LINEARS and not _is_of_tower(one))


def usual_config(raw: Config) -> Config | None:
    """A config of an unknown type, if it has the keys that nearly all have."""
    try:
        _ = (raw.hidden, raw.layers, raw.heads, raw.kv_heads, raw.integer("vocab_size"))
    except BadConfig:
        return None
    return raw
