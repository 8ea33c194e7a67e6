"""The codes that bitsandbytes keeps of a layer's weights, and what they decode to by the library's own functions.

The library is imported where it is used: a machine without it still loads what is not packed.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.llm.originals import plain_name

ROW_TILES = "support_avx512bf16_for_cpu"


def packed_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers of a model whose weights are codes, each by its name in the model."""
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, nn.Linear) and (_scales(module) is not None or hasattr(weight, "quant_state")):
            yield name, module


def keep_codes(model: nn.Module, *, all_of_them: bool = False) -> None:
    """Let 4-bit layers keep their codes as they are: those whose shape a processor cannot reorder, or all.

    With AVX512-BF16 bitsandbytes 0.50 reorders them at the first use, in tiles of 32 by 64, and fails at other shapes;
    what is trained over must not change under the training.
    """
    for module in model.modules():
        if hasattr(module, ROW_TILES):
            n_out, n_in = int(getattr(module, "out_features", 0)), int(getattr(module, "in_features", 0))
            if all_of_them or n_out % 32 or n_in % 64:
                setattr(module, ROW_TILES, False)


def decoded(module: Any) -> Tensor:
    """(rows, columns): what a packed layer's codes stand for. The layer itself stays as it is."""
    packing: Any = import_module("bitsandbytes.functional")
    state = getattr(module.weight, "quant_state", None)
    with torch.inference_mode():
        if state is None:
            return cast("Tensor", packing.int8_vectorwise_dequant(module.weight.data, _scales(module)))
        return cast("Tensor", packing.dequantize_4bit(*_as_packed(module.weight.data, state)))


def _scales(module: Any) -> Tensor | None:
    """One a row, of an int8 layer: on the weight until its first use, in the layer's state from then on."""
    for holder in (getattr(module, "weight", None), getattr(module, "state", None)):
        if isinstance(scales := getattr(holder, "SCB", None), Tensor):
            return scales
    return None


def _as_packed(codes: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Codes in the order of the weights. Processors with AVX512-BF16 put them into another at the first use."""
    if not getattr(state, "packing_format_for_cpu", False):
        return codes, state
    packing: Any = import_module("bitsandbytes.functional")
    restored = copy(state)
    restored.original_nested = False  # the scales of the blocks stay unpacked; the library would pack them again
    codes, restored = packing._convert_weight_packed_for_cpu_inverse(codes, restored)
    restored.absmax = state.absmax.T.reshape(-1).float()
    return codes, restored


def kinds_of(names: list[str]) -> dict[str, str]:
    """What kind of module each name is: its shortest end that tells it from the others, numbers aside.

    `q_proj` for `model.layers.3.self_attn.q_proj`; GPT-2, which has two of them in a block, gets `attn.c_proj`.
    """
    patterns = {name: [part for part in plain_name(name).split(".") if not part.isdigit()] for name in names}
    distinct = {tuple(parts) for parts in patterns.values()}
    return {name: _shortest_end(tuple(parts), distinct) for name, parts in patterns.items()}


def _shortest_end(parts: tuple[str, ...], distinct: set[tuple[str, ...]]) -> str:
    for n in range(1, len(parts) + 1):
        if sum(one[-n:] == parts[-n:] for one in distinct) == 1:
            return ".".join(parts[-n:])
    return ".".join(parts)


def block_of(name: str) -> int | None:
    """The number of the block that a module lies in; None outside of all blocks."""
    return next((int(part) for part in plain_name(name).split(".") if part.isdigit()), None)
