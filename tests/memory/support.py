"""The models whose figures are known, and how transformers builds others of them without memory."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import get_keys_to_not_convert
from transformers.quantizers.quantizers_utils import should_convert_module

DATA = Path(__file__).parent / "data"


@cache
def truth() -> dict[str, dict[str, str]]:
    """The figures of 29 public models, as transformers' classes and bitsandbytes' layouts give them."""
    with (DATA / "truth.csv").open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


@cache
def configs() -> dict[str, dict[str, Any]]:
    """Their config.json files."""
    found: dict[str, dict[str, Any]] = json.loads((DATA / "configs.json").read_text())
    return found


def class_config(model_type: str, **given: Any) -> PretrainedConfig:
    """A config of transformers' class for a type."""
    config = CONFIG_MAPPING[model_type](**given)
    if (getattr(config, "pad_token_id", None) or 0) >= config.get_text_config().vocab_size:
        config.pad_token_id = None  # some classes' own default lies beyond a small vocabulary
    return config


def meta_model(config: PretrainedConfig) -> PreTrainedModel:
    """The model without its numbers."""
    sees = getattr(config, "vision_config", None) is not None
    build: Any = (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_config
    with torch.device("meta"):
        model: PreTrainedModel = build(config, dtype=torch.bfloat16).eval()
    return model


def shapes(model: PreTrainedModel) -> dict[str, tuple[int, ...]]:
    """Every parameter with its shape, tied ones once."""
    return {name: tuple(one.shape) for name, one in model.named_parameters()}


def quantized_weights(model: PreTrainedModel) -> set[str]:
    """The weights that bitsandbytes packs, by transformers' own rule."""
    kept = [*get_keys_to_not_convert(model), *(model._keep_in_fp32_modules or [])]
    return {
        f"{name}.weight"
        for name, module in model.named_modules()
        if (type(module) is nn.Linear or isinstance(module, Conv1D)) and should_convert_module(name, kept)
    }


def cached_bytes(model: PreTrainedModel, n_tokens: int) -> int:
    """What the model's own cache holds of so many tokens, for one row."""
    ids = torch.zeros((1, n_tokens), dtype=torch.long, device="meta")
    with torch.no_grad():
        out = model(input_ids=ids, use_cache=True)
    cache = getattr(out, "past_key_values", None) or out.cache_params
    return sum(one.numel() * one.element_size() for layer in cache.layers for one in _tensors(layer))


def _tensors(layer: Any) -> list[torch.Tensor]:
    found = [getattr(layer, "keys", None), getattr(layer, "values", None)]
    for name in ("conv_states", "recurrent_states"):
        found += getattr(layer, name, {}).values()
    return [one for one in found if isinstance(one, torch.Tensor)]
