"""What a model keeps of the tokens it has seen, summed by layer, context and batch."""

from __future__ import annotations

from core.memory.formula import Part, number, part, plural
from core.memory.layers import LayerCache
from core.memory.shapes import BUILT_BY, Table

SOURCE = f"the cache that {BUILT_BY} makes for each type of layer (DynamicCache)"


def kv_bytes_per_token(table: Table, element_bytes: int) -> int | None:
    """What one more token takes while no window is full; None where nobody knows."""
    if table.caches is None:
        return None
    return sum(layer.width for layer in table.caches) * element_bytes


def kv_bytes(table: Table, context: int, batch: int, element_bytes: int) -> int:
    """What `batch` rows of `context` tokens take; 0 where nobody knows."""
    return batch * sum(times * layer.n_bytes(context, element_bytes) for layer, times in table.layer_kinds.items())


def kv_part(table: Table, context: int, batch: int, element_bytes: int) -> Part:
    """The cache as a part."""
    if table.caches is None:
        return Part("KV cache", 0, "unknown: config.json lacks the usual keys, so it is not counted", SOURCE)
    words = " + ".join(_words(layer, times, context, element_bytes) for layer, times in table.layer_kinds.items())
    rows = f"{plural(batch, 'row')} × " if batch > 1 else ""
    words = f"{rows}({words})" if rows else words
    return part("KV cache", kv_bytes(table, context, batch, element_bytes), words, SOURCE)


def held_by_windows(table: Table, context: int, batch: int, element_bytes: int) -> Part:
    """What layers with a window hold of a long prompt until the first new token.

    They keep a view of the last tokens, and a view keeps the memory of the whole prompt alive.
    """
    windowed = {layer: times for layer, times in table.layer_kinds.items() if layer.tokens_kept(context) < context}
    numbers = sum(times * layer.width * (context - layer.tokens_kept(context)) for layer, times in windowed.items())
    layers = plural(sum(windowed.values()), "layer")
    words = f"{layers} beyond their windows: {number(numbers)} numbers × {batch} × {element_bytes} bytes"
    return part("prompt beyond the windows", batch * numbers * element_bytes, words, SOURCE)


def _words(layer: LayerCache, times: int, context: int, element_bytes: int) -> str:
    parts = []
    if layer.width:
        tokens = layer.tokens_kept(context)
        parts.append(f"{layer.width:,} numbers × {tokens:,} tokens × {element_bytes} bytes")
    if layer.state or layer.float32_state:
        parts.append(f"{number(layer.state * element_bytes + 4 * layer.float32_state)} bytes of state")
    return f"{plural(times, 'layer')} ({layer.kind}) × {' and '.join(parts) or 'nothing'}"
