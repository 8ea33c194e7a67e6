"""What each layer of a model keeps for the tokens it has seen: keys and values, a latent, or a constant state.

As transformers' DynamicCache keeps it, layer by layer: one figure a model is wrong for those that mix them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.memory.config import CHUNKED, CONV, LINEAR_ATTENTION, SLIDING, Config
from core.memory.mixers import delta_widths, mamba2_conv, mamba2_inner, mamba_inner


@dataclass(frozen=True, slots=True)
class LayerCache:
    """What one layer keeps a row of the batch.

    Args:
        kind: in words, for a person.
        width: numbers a token, keys and values together.
        window: the layer keeps at most `window - 1` tokens.
        state: numbers that do not grow with the tokens, in the dtype of the activations.
        float32_state: the same, always in float32.
    """

    kind: str
    width: int = 0
    window: int | None = None
    state: int = 0
    float32_state: int = 0

    def tokens_kept(self, context: int) -> int:
        """How many tokens of a context remain."""
        return min(context, self.window - 1) if self.window else context

    def n_bytes(self, context: int, element_bytes: int) -> int:
        """What a row of `context` tokens takes."""
        kept = self.tokens_kept(context) * self.width + self.state
        return kept * element_bytes + 4 * self.float32_state


CacheRule = Callable[[Config, int], LayerCache]


def grouped(c: Config, i: int) -> LayerCache:
    """Keys and values of the key heads; a window where the layer has one."""
    return _keys(c, i, c.kv_heads)


def _keys(c: Config, i: int, kv_heads: int) -> LayerCache:
    width, kind = 2 * kv_heads * c.head_dim, c.types[i]
    key = "attention_chunk_size" if kind == CHUNKED else "sliding_window"
    window = c.optional(key) if kind in (SLIDING, CHUNKED) else None
    return LayerCache("sliding window", width, window) if window else LayerCache("full attention", width)


def one_key_head(flag: str) -> CacheRule:
    """Keys and values of one head for all where the flag is set, as multi-query models keep them."""
    return lambda c, i: _keys(c, i, 1 if c.flag(flag) else c.heads)


def falcon(c: Config, i: int) -> LayerCache:
    """Falcon's newer decoder repeats its few key heads before they are cached, one for each query head."""
    is_single = c.flag("multi_query") and not c.flag("new_decoder_architecture")
    return _keys(c, i, 1 if is_single else c.heads)


def latent(c: Config, _: int) -> LayerCache:
    """DeepSeek's latent and its rotary part, in place of keys and values."""
    return LayerCache("latent attention", c.integer("kv_lora_rank") + c.integer("qk_rope_head_dim"))


def mamba_state(c: Config, _: int) -> LayerCache:
    """The state of a layer of the first Mamba."""
    inner = mamba_inner(c)
    conv, state = inner * c.integer("conv_kernel"), inner * c.integer("state_size")
    return LayerCache("constant state", state=conv, float32_state=state)


def mamba2_state(c: Config, _: int) -> LayerCache:
    """The state of a layer of Mamba 2."""
    conv = mamba2_conv(c) * c.integer("conv_kernel")
    return LayerCache("constant state", state=conv, float32_state=mamba2_inner(c) * c.integer("state_size"))


def delta_state(c: Config, _: int) -> LayerCache:
    """The state of a gated delta net."""
    keys, values = delta_widths(c)
    conv = (2 * keys + values) * c.integer("linear_conv_kernel_dim")
    return LayerCache("constant state", state=conv, float32_state=values * c.integer("linear_key_head_dim"))


def conv_state(c: Config, _: int) -> LayerCache:
    """The last inputs of a short convolution."""
    return LayerCache("constant state", state=c.hidden * c.integer("conv_L_cache"))


def hybrid(state: CacheRule) -> CacheRule:
    """A state in the layers without attention, keys and values in the others."""
    return lambda c, i: state(c, i) if c.types[i] in (LINEAR_ATTENTION, CONV) else grouped(c, i)


def both(state: CacheRule) -> CacheRule:
    """Layers that have attention and a state side by side."""

    def kept(c: Config, i: int) -> LayerCache:
        keys, constant = grouped(c, i), state(c, i)
        return LayerCache("attention and state", keys.width, keys.window, constant.state, constant.float32_state)

    return kept
