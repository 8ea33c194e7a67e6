"""What a layer saves for the backward pass, in bytes a token: coefficients fitted to saved tensors.

Fitted by least squares over eight shapes of Llama layers whose head width, key heads and MLP vary apart, with
`torch.autograd.graph.saved_tensors_hooks` on a CPU (torch 2.13, transformers 5.23, peft 0.21): residual 0.000, for
Qwen3's head norms too. Layers of other shapes (plain MLPs, experts, state spaces) take the same rows: for full training
of GPT-2 that is the exact figure, of GPT-NeoX and OPT it is too much, and the estimate says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from core.memory.formula import number
from core.memory.geometry import Geometry

SOURCE = "coefficients fitted to the tensors that a Llama layer saves (torch 2.13, transformers 5.23, peft 0.21)"


class Row(NamedTuple):
    """Bytes a token for each unit of a width, and for each unit of rank of a linear with an adapter."""

    hidden: int
    query: int
    keys: int
    inner: int
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Mode:
    """How a model is trained, as far as it decides what is saved.

    Args:
        has_adapter: LoRA or QLoRA, against all weights.
        is_float32: weights and activations are float32, without autocast.
        float32_adapter: the adapter's weights are float32 over 16-bit weights.
        is_autocast: Trainer's `bf16=True`.
        has_dropout: `lora_dropout` above 0.
        is_attention_only: only the query and value projections have adapters.
    """

    has_adapter: bool
    is_float32: bool = False
    float32_adapter: bool = False
    is_autocast: bool = False
    has_dropout: bool = False
    is_attention_only: bool = False


ROWS = {
    "full, 16 bit": Row(16, 4, 4, 8),
    "full, float32 with autocast": Row(26, 4, 4, 8),
    "full, float32": Row(24, 8, 8, 16),
    "adapters on queries and values, 16 bit": Row(10, 4, 4, 6, 2),
    "adapters on queries and values, float32 over 16 bit": Row(16, 4, 4, 6, 4),
    "adapters on queries and values, float32": Row(12, 8, 8, 12, 4),
    "adapters, 16 bit": Row(12, 4, 4, 8, 2),
    "adapters, 16 bit, with dropout": Row(28, 8, 4, 10, 2),
    "adapters, float32 over 16 bit": Row(28, 8, 4, 10, 4),
    "adapters, float32 over 16 bit, with dropout": Row(48, 12, 4, 14, 4),
    "adapters, float32 with autocast": Row(20, 4, 4, 8, 2),
    "adapters, float32": Row(16, 8, 8, 16, 4),
    "adapters, float32, with dropout": Row(48, 16, 8, 20, 4),
}


def mode_name(mode: Mode) -> str:
    """The row of a mode, or the nearest one that is not smaller."""
    if not mode.has_adapter:
        return ("full, float32" + (" with autocast" if mode.is_autocast else "")) if mode.is_float32 else "full, 16 bit"
    where = " on queries and values" if mode.is_attention_only else ""
    dropout = ", with dropout" if mode.has_dropout and not mode.is_attention_only else ""
    if mode.is_autocast and (mode.is_float32 or mode.float32_adapter) and not dropout:
        return "adapters, float32 with autocast"
    if mode.is_float32 and not mode.is_autocast:
        return f"adapters{where}, float32{dropout}"
    is_mixed = mode.float32_adapter or mode.is_float32
    return f"adapters{where}, {'float32 over 16 bit' if is_mixed else '16 bit'}{dropout}"


def layer_bytes(g: Geometry, mode: Mode, ranks: int, eager_context: int = 0) -> int:
    """Bytes a token that one layer saves; `ranks` is the sum of the ranks of its adapters.

    With eager attention keys and values are repeated for all heads, and every score is saved: in 16 bit as the float32
    softmax and its copy.
    """
    row = ROWS[mode_name(mode)]
    query, keys, scores = row.query * g.query, row.keys * g.keys, 4 * g.heads
    if eager_context:
        query, keys = (row.query + row.keys - _forgotten(mode)) * g.query, 0
        scores = (4 if _is_wide(mode) else 6) * g.heads * eager_context
    norms = _head_norms(g, mode) if g.has_head_norms else 0
    return row.hidden * g.hidden + query + keys + row.inner * g.inner + scores + row.rank * ranks + norms + 8


def _forgotten(mode: Mode) -> int:
    """Bytes a number of attention's output that eager does not save, where no linear behind it does either."""
    is_saved_as_input = not mode.has_adapter or mode.is_autocast
    is_saved_as_input |= not (mode.float32_adapter or mode.has_dropout or mode.is_attention_only)
    return 0 if is_saved_as_input else 4 if _is_wide(mode) else 2


def layer_words(g: Geometry, mode: Mode) -> str:
    """The coefficients in words."""
    row, name = ROWS[mode_name(mode)], mode_name(mode)
    return (
        f"{name}: {row.hidden} × {number(g.hidden)} hidden + {row.query} × {number(g.query)} queries"
        f" + {row.keys} × {number(g.keys)} keys + {row.inner} × {number(g.inner)} MLP + heads and ranks"
    )


def _is_wide(mode: Mode) -> bool:
    return mode.is_float32 and not mode.is_autocast


def _head_norms(g: Geometry, mode: Mode) -> int:
    each = 4 if mode.has_adapter else 8 if _is_wide(mode) else 6
    return each * (g.query + g.keys) + 4 * (g.heads + g.kv_heads)
