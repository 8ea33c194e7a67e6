"""Models that see: an image encoder beside a text model of a family that is described elsewhere.

The encoder's linears are quantized with the rest, and it stays in memory whether or not there are images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.memory.config import Config
from core.memory.families.towers import (
    gemma4_tower,
    pixtral_and_projector,
    qwen25_tower,
    qwen_tower,
    siglip_and_projector,
)
from core.memory.tensors import Tensor


@dataclass(frozen=True)
class Seeing:
    """A text model's `model_type` and what stands beside it, reckoned from both parts of the config."""

    text: str
    stem: str
    beside: Callable[[Config, Config], Iterator[Tensor]]
    vision_defaults: Mapping[str, Any] = field(default_factory=dict)
    is_tied_by_default: bool = False
    not_described: tuple[str, ...] = ()  # parts of a config that stand for towers which are not described here


QWEN_VISION: dict[str, Any] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "depth": 27,
    "in_channels": 3,
    "patch_size": 16,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "out_hidden_size": 3584,
    "num_position_embeddings": 2304,
}

SEEING: dict[str, Seeing] = {
    "gemma3": Seeing(
        text="gemma3_text",
        stem="model.language_model",
        beside=siglip_and_projector,
        vision_defaults={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "num_channels": 3,
            "image_size": 224,
            "vision_use_head": True,
            "patch_size": 16,
        },
        is_tied_by_default=True,
    ),
    "gemma4": Seeing(
        text="gemma4_text",
        stem="model.language_model",
        beside=gemma4_tower,
        vision_defaults={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 16,
            "num_attention_heads": 12,
            "num_key_value_heads": 12,
            "head_dim": 64,
            "patch_size": 16,
            "position_embedding_size": 10_240,
        },
        is_tied_by_default=True,
        not_described=("audio_config",),
    ),
    "mistral3": Seeing(
        text="mistral",
        stem="model.language_model",
        beside=pixtral_and_projector,
        vision_defaults={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "num_channels": 3,
            "patch_size": 16,
            "spatial_merge_size": 2,
        },
        is_tied_by_default=True,
    ),
    "qwen2_5_vl": Seeing(
        text="qwen2",
        stem="model.language_model",
        beside=qwen25_tower,
        vision_defaults={**QWEN_VISION, "hidden_size": 3584, "intermediate_size": 3420, "depth": 32, "patch_size": 14},
    ),
    "qwen3_vl": Seeing(
        text="qwen3",
        stem="model.language_model",
        beside=qwen_tower,
        vision_defaults={**QWEN_VISION, "deepstack_visual_indexes": [8, 16, 24]},
    ),
    "qwen3_vl_moe": Seeing(
        text="qwen3_moe",
        stem="model.language_model",
        beside=qwen_tower,
        vision_defaults={**QWEN_VISION, "deepstack_visual_indexes": [8, 16, 24]},
    ),
    "qwen3_5": Seeing("qwen3_5_text", "model.language_model", qwen_tower, QWEN_VISION),
    "qwen3_5_moe": Seeing("qwen3_5_moe_text", "model.language_model", qwen_tower, QWEN_VISION),
}
