"""One attention head on real tokens: its whole matrix of scores, and the same as flash attention goes through it.

Queries, keys and values are those that the model's own attention is given, positions applied. Flash attention (Dao et
al. 2022, arXiv 2205.14135) never holds the matrix: for a block of rows it goes through the keys block by block and
keeps the largest score so far, the sum of exponentials relative to it, and the output so far; all three are corrected
whenever a larger score comes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from core.comparison.inspected import MOST_FIELDS, Growth, Head, Running
from core.llm.one_layer import figure

CONTEXTS = tuple(2**power for power in range(9, 18))  # 512 to 131,072
SCORE_BYTES, KEPT_BYTES = 6, 4  # a score in float32 and its copy in 16 bit; one float32 a row
CHIP_BLOCK = 64  # rows and columns of a block, as the usual kernels have them or more
BLOCKS = 8  # about so many along an edge here, so that there is something to see
MOST_TRACED = 24
CLOSE = 0.05  # of the largest output: what bfloat16 may differ by, and no wrong mask stays below
_here = threading.local()  # the attention function is global, and several engines have a thread each


@dataclass
class Seen:
    """What the attention of one block was given, (heads, T, d) each, and what it made of it; None: never asked."""

    block: int | None
    query: Tensor | None = None
    key: Tensor | None = None
    value: Tensor | None = None
    output: Tensor | None = None
    scaling: float = 1.0
    window: int | None = None
    changes_scores: bool = False


@contextmanager
def watching(model: PreTrainedModel, block: int | None) -> Iterator[Seen]:
    """Inside the `with` block, what the attention of `block` is given is kept. For whoever owns the model alone."""
    seen, before = Seen(block), str(model.config._attn_implementation)
    plain = "eager" if before == "eager" else "sdpa"
    name = f"workbench_{plain}"
    AttentionInterface.register(name, _watched_eager if plain == "eager" else _watched_sdpa)
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[plain])
    _here.seen = seen
    try:
        with suppress(Exception):  # a class without this door: its layers are shown, its heads are not
            model.set_attn_implementation(name)
        yield seen
    finally:
        _here.seen = None
        model.set_attn_implementation(before)


def _watched_sdpa(module: Any, *given: Any, **options: Any) -> Any:
    return _watched(ALL_ATTENTION_FUNCTIONS["sdpa"], module, *given, **options)


def _watched_eager(module: Any, *given: Any, **options: Any) -> Any:
    # each model's file has its own
    return _watched(sys.modules[type(module).__module__].eager_attention_forward, module, *given, **options)


def _watched(
    plain: Callable[..., Any], module: Any, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any
) -> Any:
    made = plain(module, query, key, value, *rest, **options)
    seen: Seen | None = getattr(_here, "seen", None)
    if seen is not None and seen.block is not None and getattr(module, "layer_idx", None) == seen.block:
        seen.query, seen.key, seen.value = (each[0].clone() for each in (query, key, value))
        seen.output = made[0][0].transpose(0, 1).clone()
        seen.scaling = options.get("scaling") or query.shape[-1] ** -0.5
        seen.window = options.get("sliding_window")
        seen.changes_scores = bool(options.get("softcap")) or options.get("s_aux") is not None
    return made


def show_head(seen: Seen, head: int, tokens: list[str]) -> Head | str:
    """One head in both ways; or why it cannot be shown.

    Args:
        head: counted from 0; beyond the last one it is the last.
        tokens: the text of each.
    """
    if seen.block is None:
        return "this layer lies in no block"
    if seen.query is None or seen.key is None or seen.value is None or seen.output is None:
        return "this type of model computes its attention in a way of its own, or has none in this block"
    if seen.changes_scores:
        return "its attention changes the scores before the softmax"
    n_heads, n_kv_heads = seen.query.shape[0], seen.key.shape[0]
    head = min(head, n_heads - 1)
    group = head * n_kv_heads // n_heads
    given = (seen.query[head], seen.key[group], seen.value[group], seen.output[head])
    query_T_d, key_T_d, value_T_d, model_T_d = (each.float().cpu() for each in given)
    n_tokens, scores_T_T = len(query_T_d), query_T_d @ key_T_d.T * seen.scaling
    weights_T_T = scores_T_T.masked_fill(~_allowed(n_tokens, seen.window), float("-inf")).softmax(-1)
    plain_T_d = weights_T_T @ value_T_d
    if float((plain_T_d - model_T_d).abs().max()) > CLOSE * float(plain_T_d.abs().max()):
        return "its attention is no plain one: computed as usual, the head gives another output than the model's own"
    size, each = block_size(n_tokens), -(-n_tokens // MOST_FIELDS)
    in_blocks_T_d, trace, n_skipped = by_blocks(query_T_d, key_T_d, value_T_d, seen.scaling, size, seen.window)
    return Head(
        block=seen.block,
        head=head,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=query_T_d.shape[1],
        n_tokens=n_tokens,
        tokens=tuple(tokens[::each]),
        matrix=shrunk(weights_T_T, each),
        block_size=size,
        in_blocks=shrunk(weights_T_T, size),
        n_blocks=(-(-n_tokens // size)) ** 2,
        n_skipped=n_skipped,
        trace=tuple(trace[:MOST_TRACED]),
        differs_from_plain=figure((in_blocks_T_d - plain_T_d).abs().max()),
        differs_from_model=figure((in_blocks_T_d - model_T_d).abs().max()),
        model_dtype=str(seen.query.dtype).removeprefix("torch."),
        growth=growth(n_heads),
    )


def block_size(n_tokens: int) -> int:
    """A power of two of which about `BLOCKS` go along an edge, and no larger than a kernel's."""
    size = 2
    while size * BLOCKS < n_tokens and size < CHIP_BLOCK:
        size *= 2
    return size


def by_blocks(
    query_T_d: Tensor, key_T_d: Tensor, value_T_d: Tensor, scaling: float, size: int, window: int | None = None
) -> tuple[Tensor, list[Running], int]:
    """Attention without the matrix.

    Returns:
        (T, d) the output; what was kept of the last row after each block of keys; the blocks that were skipped.
    """
    n_tokens = len(query_T_d)
    allowed_T_T, output_T_d = _allowed(n_tokens, window), torch.empty_like(value_T_d)
    trace: list[Running] = []
    n_skipped = 0
    for top in range(0, n_tokens, size):
        rows = slice(top, top + size)
        kept = _Kept.nothing(query_T_d[rows], value_T_d.shape[1])
        trace = []
        for left in range(0, n_tokens, size):
            columns = slice(left, left + size)
            if not allowed_T_T[rows, columns].any():
                n_skipped += 1
                continue
            scores = query_T_d[rows] @ key_T_d[columns].T * scaling
            scores = scores.masked_fill(~allowed_T_T[rows, columns], float("-inf"))
            kept, rescale = kept.with_block(scores, value_T_d[columns])
            trace.append(kept.told(left, min(left + size, n_tokens) - 1, scores, rescale))
        output_T_d[rows] = kept.output / kept.total
    return output_T_d, trace, n_skipped


@dataclass(frozen=True)
class _Kept:
    """All that is kept of a block of rows, however many keys there are."""

    most: Tensor
    total: Tensor
    output: Tensor

    @classmethod
    def nothing(cls, query: Tensor, width: int) -> _Kept:
        n = len(query)
        return cls(torch.full((n, 1), float("-inf")), torch.zeros(n, 1), torch.zeros(n, width))

    def with_block(self, scores: Tensor, values: Tensor) -> tuple[_Kept, Tensor]:
        most = torch.maximum(self.most, scores.amax(1, keepdim=True))
        safe = most.masked_fill(most == float("-inf"), 0.0)  # a row that may look at nothing of the blocks so far
        rescale, powers = (self.most - safe).exp(), (scores - safe).exp()
        total = self.total * rescale + powers.sum(1, keepdim=True)
        return _Kept(most, total, self.output * rescale + powers @ values), rescale

    def told(self, first: int, last: int, scores: Tensor, rescale: Tensor) -> Running:
        """Of the last row."""
        return Running(
            first=first,
            last=last,
            block_max=_finite(scores[-1].max()),
            running_max=_finite(self.most[-1]),
            rescale=figure(rescale[-1]),
            running_sum=figure(self.total[-1]),
        )


def shrunk(weights_T_T: Tensor, each: int) -> tuple[tuple[float, ...], ...]:
    """The lower triangle with `each` rows and columns put together, the largest standing for them."""
    edges = range(0, len(weights_T_T), each)
    return tuple(
        tuple(round(float(weights_T_T[top : top + each, left : left + each].max()), 4) for left in edges if left <= top)
        for top in edges
    )


def growth(n_heads: int) -> tuple[Growth, ...]:
    """Bytes by context: heads × context² × 6, against heads × (context × 4 + a block of 64 × 64 × 4)."""
    block = CHIP_BLOCK * CHIP_BLOCK * KEPT_BYTES
    return tuple(
        Growth(context=n, plain=n_heads * n * n * SCORE_BYTES, blocks=n_heads * (n * KEPT_BYTES + block))
        for n in CONTEXTS
    )


def _allowed(n_tokens: int, window: int | None) -> Tensor:
    """(T, T): whether a row's token may look at a column's."""
    apart = torch.arange(n_tokens)[:, None] - torch.arange(n_tokens)[None, :]
    return (apart >= 0) & (apart < window) if window else apart >= 0


def _finite(value: Tensor) -> float:
    return figure(value.clamp(min=-1e9))
