"""Finds out what this machine can run: by asking the card, and by trying what can be tried."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

import torch
from transformers.utils.import_utils import is_flash_attn_2_available, is_flash_attn_3_available

from core.abilities import Abilities
from core.llm.measure import device_name
from core.precision import Precision
from core.variant import Attention

FAST_BFLOAT16 = (8, 0)  # NVIDIA compute capability from which bfloat16 has units of its own


@lru_cache
def abilities(device: str) -> Abilities:
    """What runs on `device` (`cpu`, `cuda:0`), found out once."""
    on_card = device.startswith("cuda")
    is_fast = on_card and torch.cuda.get_device_capability(device) >= FAST_BFLOAT16
    half = Precision.BFLOAT16 if is_fast or not on_card else Precision.FLOAT16
    notes = () if is_fast or not on_card else (f"{device_name(device)} has no fast bfloat16: float16 is used.",)
    packs = {one: _why_no_packing(device, one) for one in Precision if one.is_quantized}
    return Abilities(
        device=device_name(device),
        precisions={str(one): packs.get(one, "") for one in Precision},
        attentions={str(one): _why_no_attention(one, on_card) for one in Attention},
        auto_precision=half if on_card else Precision.FLOAT32,
        compute_dtype=str(half),
        notes=notes,
    )


def _why_no_packing(device: str, precision: Precision) -> str:
    """A tiny weight is packed and unpacked: whether bitsandbytes is installed does not say whether it works here."""
    if find_spec("bitsandbytes") is None:
        return "bitsandbytes is not installed"
    try:
        _pack(device, precision)
    except Exception as error:  # whatever a build without this device raises
        return f"bitsandbytes does not work on this device ({str(error).splitlines()[0][:120] or type(error).__name__})"
    return ""


def _pack(device: str, precision: Precision) -> None:
    import bitsandbytes.functional as packing

    weight = torch.ones(64, 64, dtype=torch.float16, device=device)
    if precision is Precision.INT8:
        packing.int8_vectorwise_quant(weight)
        return
    kind, _, double = precision.value.partition("-")
    packed, state = packing.quantize_4bit(weight, quant_type=kind, compress_statistics=bool(double))
    packing.dequantize_4bit(packed, state)


def _why_no_attention(attention: Attention, on_card: bool) -> str:
    if attention in (Attention.EAGER, Attention.SDPA):
        return ""
    if not on_card:
        return "it needs an NVIDIA card"
    is_there = is_flash_attn_2_available() if attention is Attention.FLASH_2 else is_flash_attn_3_available()
    return "" if is_there else "flash-attn is not installed"
