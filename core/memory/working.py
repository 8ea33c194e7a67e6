"""What a model needs while it reads a prompt and writes: the transient memory beside weights and cache.

Derived from transformers' own code, operation by operation. The two attention formulas were compared with one H100
(Llama-2-7B's shape, bfloat16, prompts of 4,096 and 8,192 tokens): within 2 % of the whole peak.
"""

from __future__ import annotations

from collections.abc import Iterable

from core.memory.family import EAGER
from core.memory.formula import Part, number, part, size
from core.memory.geometry import Geometry
from core.memory.shapes import BUILT_BY, Table
from core.precision import Precision

SOURCE = f"the operations of a layer in {BUILT_BY}, the largest moment of one layer"
HEAP_PERCENT, HOLE_BYTES = 55, 2**20
HEAP_PERCENT_WITHOUT_LOGITS = 90
UNPACKED_CARD, UNPACKED_HOST = 2, 4  # bytes a weight; on a host oneDNN copies it into an order of its own
MASK_BYTES = 3  # a boolean mask and the additive one that it is turned into


def prefill_part(
    table: Table, g: Geometry, precision: Precision, context: int, batch: int, attention: str, *, on_host: bool = False
) -> Part:
    """The largest moment of a layer while a prompt of `context` tokens is read.

    With eager attention it grows with the square of the prompt, because every score is kept; sdpa and flash keep none.
    """
    steps = {
        "MLP": _mlp(g, precision, context, batch),
        "attention": _attention(g, precision, context, batch, attention),
    }
    worst = max(steps, key=lambda name: steps[name][0])
    stream = 2 * g.hidden * context * batch * precision.element_bytes
    masks = _masks(table, context, batch, precision, attention)
    unpacked = (UNPACKED_HOST if on_host else UNPACKED_CARD) * table.largest_linear if precision.is_4bit else 0
    words = f"{worst}: {steps[worst][1]} + residual stream {size(stream)}"
    words += f" + masks {size(masks)}" if masks else ""
    words += f" + one linear unpacked {size(unpacked)}" if unpacked else ""
    return part("prefill", steps[worst][0] + stream + masks + unpacked, words, SOURCE)


def _mlp(g: Geometry, precision: Precision, context: int, batch: int) -> tuple[int, str]:
    widths = 3 if g.is_gated else 2
    numbers = widths * g.inner * precision.element_bytes
    words = f"{widths} × {g.inner:,} wide × {precision.element_bytes} bytes"
    if precision is Precision.INT8:
        numbers += 4 * g.inner + g.hidden
        words += f" + int32 sums 4 × {g.inner:,} + int8 inputs {g.hidden:,}"
    return numbers * context * batch, f"({words}) × {number(context * batch)} tokens"


def _attention(g: Geometry, precision: Precision, context: int, batch: int, attention: str) -> tuple[int, str]:
    if not g.has_attention:
        return 0, ""
    projections = 2 * (g.query + g.keys) * context * batch * precision.element_bytes
    if attention != EAGER:
        n_bytes = projections + 4 * g.heads * context * batch
        return n_bytes, f"queries, keys and values {size(projections)} + a float32 sum for each head and token"
    each = score_bytes(precision)
    scores = batch * g.heads * context * context * each
    repeated = 2 * g.query * context * batch * precision.element_bytes if g.kv_heads < g.heads else 0
    words = f"{batch * g.heads} heads × {context:,}² scores × {each} bytes + projections {size(projections + repeated)}"
    return scores + projections + repeated, words


def score_bytes(precision: Precision) -> int:
    """Bytes a score of eager attention at its largest moment.

    bfloat16: the scores (2), their float32 copy (4) and the softmax (4). float32: scores and softmax (4 + 4). float16
    could do with 8 where torch fuses the copy into the softmax, which not every model lets it.
    """
    return 8 if precision is Precision.FLOAT32 else 10


def _masks(table: Table, context: int, batch: int, precision: Precision, attention: str) -> int:
    """An explicit mask is made by eager attention, for padded rows and for windows shorter than the prompt."""
    windows = {layer.window for layer in table.layer_kinds if layer.tokens_kept(context) < context}
    each = precision.element_bytes if attention == EAGER else MASK_BYTES
    if attention == "flash_attention_2":
        return 0
    is_needed = attention == EAGER or batch > 1 or windows
    return (1 + len(windows)) * batch * context * context * each if is_needed else 0


def logits_part(g: Geometry, precision: Precision, batch: int) -> Part:
    """The scores of the next token: the last position alone, once as computed and once in float32 for sampling."""
    each = precision.element_bytes + 4
    words = f"{batch:,} × {g.vocab:,} words × {each} bytes"
    return part("logits", batch * g.vocab * each, words, f"generate() of {BUILT_BY} keeps the last position only")


def heap_part(parts: Iterable[Part], precision: Precision, n_layers: int) -> Part:
    """What the heap of a process without a card keeps of blocks that were freed.

    A cache grows by copies and leaves its old self behind. While it trains, a process's heap also keeps part of what
    comes and goes: by itself glibc serves blocks of up to 32 MB from a heap that does not shrink (fitted to three
    trainings of a 135 M model on one CPU). A process that generates has larger blocks mapped one by one
    (`core.llm.own`), and gives them back; in int8 the many small ones that each linear makes leave holes between the
    layers' keys, up to 1 MB a layer.
    """
    sizes = {one.name: one.n_bytes for one in parts}
    cache = sizes.get("KV cache", 0)
    passing = sum(sizes.get(name, 0) for name in ("activations", "logits and loss"))
    # logits are blocks so large that they go back; where there are none, all is of blocks that stay
    percent = HEAP_PERCENT if "logits and loss" in sizes else HEAP_PERCENT_WITHOUT_LOGITS
    holes = HOLE_BYTES * n_layers if precision is Precision.INT8 else 0
    words = f"a second cache {size(cache)}"
    words += f" + holes in {n_layers} layers × {size(HOLE_BYTES)}" if holes else ""
    words += f" + {percent} % of {size(passing)} that comes and goes" if passing else ""
    return part(
        "heap", cache + holes + passing * percent // 100, words, "fitted to runs on one CPU (glibc, torch 2.13)"
    )
