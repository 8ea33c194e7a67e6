"""What stands in a layer's place of attention: latent attention, state spaces, linear attention, short convolutions."""

from __future__ import annotations

from collections.abc import Iterator

from core.memory.blocks import Block, Switch
from core.memory.config import CONV, LINEAR_ATTENTION, Config
from core.memory.tensors import Kind, Tensor, layer_norm, linear


def latent_attention(c: Config, _: int) -> Iterator[Tensor]:
    """DeepSeek's multi-head latent attention: keys and values are made from one narrow vector a token."""
    bias, heads = c.flag("attention_bias"), c.heads
    nope, rope, value = c.integer("qk_nope_head_dim"), c.integer("qk_rope_head_dim"), c.integer("v_head_dim")
    if narrow := c.optional("q_lora_rank", least=1):
        yield from linear("self_attn.q_a_proj", c.hidden, narrow, bias=bias)
        yield from layer_norm("self_attn.q_a_layernorm", narrow)
        yield from linear("self_attn.q_b_proj", narrow, heads * (nope + rope))
    else:
        yield from linear("self_attn.q_proj", c.hidden, heads * (nope + rope))
    latent = c.integer("kv_lora_rank")
    yield from linear("self_attn.kv_a_proj_with_mqa", c.hidden, latent + rope, bias=bias)
    yield from layer_norm("self_attn.kv_a_layernorm", latent)
    yield from linear("self_attn.kv_b_proj", latent, heads * (nope + value))
    yield from linear("self_attn.o_proj", heads * value, c.hidden, bias=bias)


def convolution(name: str, width: int, kernel: int, *, bias: bool = False) -> Iterator[Tensor]:
    """A convolution along the tokens, each channel by itself."""
    yield Tensor(f"{name}.weight", (width, 1, kernel), Kind.CONV)
    if bias:
        yield Tensor(f"{name}.bias", (width,), Kind.OTHER)


def mamba(prefix: str, *, bias: Switch, conv_bias: Switch) -> Block:
    """The first Mamba's mixer. Keys: `inner_size`, `state_size`, `conv_kernel`, `time_step_rank`."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        inner, state, rank = mamba_inner(c), c.integer("state_size"), mamba_rank(c)
        yield Tensor(f"{prefix}.A_log", (inner, state), Kind.OTHER)
        yield Tensor(f"{prefix}.D", (inner,), Kind.OTHER)
        yield from convolution(f"{prefix}.conv1d", inner, c.integer("conv_kernel"), bias=c.flag(conv_bias))
        yield from linear(f"{prefix}.in_proj", c.hidden, 2 * inner, bias=c.flag(bias))
        yield from linear(f"{prefix}.x_proj", inner, rank + 2 * state)
        yield from linear(f"{prefix}.dt_proj", rank, inner, bias=True)
        yield from linear(f"{prefix}.out_proj", inner, c.hidden, bias=c.flag(bias))

    return tensors


def mamba_inner(c: Config) -> int:
    """The width inside a mixer of the first Mamba."""
    return c.integer("expand") * c.hidden


def mamba_rank(c: Config) -> int:
    """The width of its time step: hidden / 16, rounded up, where the file says "auto"."""
    return -(-c.hidden // 16) if c.value("time_step_rank") in ("auto", None) else c.integer("time_step_rank")


def mamba2_inner(c: Config) -> int:
    """The width inside a mixer of Mamba 2."""
    return c.integer("ssm_heads") * c.integer("ssm_head_dim")


def mamba2_conv(c: Config) -> int:
    """The channels of its convolution."""
    return mamba2_inner(c) + 2 * c.integer("n_groups") * c.integer("state_size")


def mamba2(prefix: str, *, bias: Switch, conv_bias: Switch, has_norm: Switch = True) -> Block:
    """Mamba 2's mixer. Keys: `ssm_heads`, `ssm_head_dim`, `n_groups`, `state_size`, `conv_kernel`."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        inner, conv, heads = mamba2_inner(c), mamba2_conv(c), c.integer("ssm_heads")
        for name in ("dt_bias", "A_log", "D"):
            yield Tensor(f"{prefix}.{name}", (heads,), Kind.OTHER)
        yield from convolution(f"{prefix}.conv1d", conv, c.integer("conv_kernel"), bias=c.flag(conv_bias))
        yield from linear(f"{prefix}.in_proj", c.hidden, inner + conv + heads, bias=c.flag(bias))
        if c.flag(has_norm):
            yield from layer_norm(f"{prefix}.norm", inner)
        yield from linear(f"{prefix}.out_proj", inner, c.hidden, bias=c.flag(bias))

    return tensors


def delta_widths(c: Config) -> tuple[int, int]:
    """All keys together and all values together of a gated delta net."""
    keys = c.integer("linear_num_key_heads") * c.integer("linear_key_head_dim")
    return keys, c.integer("linear_num_value_heads") * c.integer("linear_value_head_dim")


def delta_net(*, is_split: bool) -> Block:
    """The gated delta net of Qwen3-Next; `is_split`: its inputs come from four projections, as in Qwen3.5."""

    def tensors(c: Config, _: int) -> Iterator[Tensor]:
        (keys, values), heads = delta_widths(c), c.integer("linear_num_value_heads")
        conv, prefix = 2 * keys + values, "linear_attn"
        yield Tensor(f"{prefix}.dt_bias", (heads,), Kind.OTHER)
        yield Tensor(f"{prefix}.A_log", (heads,), Kind.OTHER)
        yield from convolution(f"{prefix}.conv1d", conv, c.integer("linear_conv_kernel_dim"))
        split = {"in_proj_qkv": conv, "in_proj_z": values, "in_proj_b": heads, "in_proj_a": heads}
        for name, width in (split if is_split else {"in_proj_qkvz": conv + values, "in_proj_ba": 2 * heads}).items():
            yield from linear(f"{prefix}.{name}", c.hidden, width)
        yield from layer_norm(f"{prefix}.norm", c.integer("linear_value_head_dim"))
        yield from linear(f"{prefix}.out_proj", values, c.hidden)

    return tensors


def short_convolution(c: Config, _: int) -> Iterator[Tensor]:
    """LFM2's gated short convolution."""
    bias = c.flag("conv_bias")
    yield from convolution("conv.conv", c.hidden, c.integer("conv_L_cache"), bias=bias)
    yield from linear("conv.in_proj", c.hidden, 3 * c.hidden, bias=bias)
    yield from linear("conv.out_proj", c.hidden, c.hidden, bias=bias)


def has_state(c: Config, i: int) -> bool:
    """Whether a layer keeps a constant state in place of keys and values."""
    return c.types[i] in (LINEAR_ATTENTION, CONV)
