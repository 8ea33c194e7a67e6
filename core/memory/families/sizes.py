"""The sizes that a model's class takes where its config.json has no such key."""

from __future__ import annotations

from typing import Any


def sizes(
    vocab: int, hidden: int, inner: int | None, layers: int, heads: int, kv_heads: int | None = None, **more: Any
) -> dict[str, Any]:
    """The usual six; `more` are further keys under the names that config.json has for them."""
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        **more,
    }
