"""Trainings to begin with: a name, what it is, and the fields of its Spec that are not the usual ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.preset import Preset

PRESETS: tuple[Preset, ...] = (
    Preset(
        "reviews",
        "Reviews, quick",
        "The built-in model learns to write film reviews: a few minutes on a processor, nothing to download.",
        MappingProxyType(
            {
                "data": "reviews",
                "max_length": 64,
                "max_rows": 2_000,
                "max_steps": 60,
                "learning_rate": 5e-4,
                "prompts": ["The film is", "The performances are", "I left the cinema"],
            }
        ),
    ),
    Preset(
        "llama-2-qlora",
        "QLoRA on Llama 2 7B",
        "Instruction tuning as published: a 4-bit base, an adapter of rank 64 on queries and values, conversations.",
        MappingProxyType(
            {
                "model": "meta-llama/Llama-2-7b-hf",
                "data": "timdettmers/openassistant-guanaco",
                "dtype": "nf4",
                "r": 64,
                "lora_alpha": 16,
                "lora_dropout": 0.1,
                "target_modules": ["q_proj", "v_proj"],
                "learning_rate": 2e-4,
                "per_device_train_batch_size": 4,
                "max_length": 512,
                "optim": "paged_adamw_8bit",
                "lr_scheduler_type": "constant",
                "warmup_ratio": 0.03,
                "max_grad_norm": 0.3,
            }
        ),
    ),
    Preset(
        "neox-int8-lora",
        "LoRA on GPT-NeoX 20B in int8",
        "A 20B model in 8 bit learns film reviews of IMDB through an adapter, on one card of 24 GB.",
        MappingProxyType(
            {
                "model": "EleutherAI/gpt-neox-20b",
                "data": "stanfordnlp/imdb",
                "data_format": "text",
                "dtype": "int8",
                "r": 16,
                "lora_alpha": 32,
                "lora_dropout": 0.05,
                "target_modules": ["query_key_value"],
                "per_device_train_batch_size": 4,
                "max_length": 512,
            }
        ),
    ),
)
BY_NAME: Mapping[str, Preset] = MappingProxyType({one.name: one for one in PRESETS})
