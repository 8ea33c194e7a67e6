"""Reinforcement learning to begin with: a name, what it is, and the fields that are not the usual ones."""

from __future__ import annotations

from types import MappingProxyType

from core.preset import Preset

RLHF_PRESETS: tuple[Preset, ...] = (
    Preset(
        "kinder-reviews",
        "Kinder reviews, RLOO",
        "The built-in model writes film reviews and is rewarded for kind words; a judge that saw other rows counts.",
        MappingProxyType(
            {
                "data": "reviews",
                "rewards": ["lexicon"],
                "max_prompt_length": 32,
                "max_completion_length": 20,
                "per_device_train_batch_size": 32,
                "num_generations": 4,
                "learning_rate": 1e-3,
                "beta": 0.02,
                "max_steps": 40,
                "judge_data": "reviews-labelled",
            }
        ),
    ),
    Preset(
        "preferred-reviews",
        "Preferred reviews, DPO",
        "The built-in model learns from pairs with the same opening, of which the kinder one is preferred.",
        MappingProxyType(
            {
                "algorithm": "dpo",
                "data": "reviews-preferences",
                "max_length": 64,
                "max_prompt_length": 32,
                "max_completion_length": 20,
                "beta": 0.1,
                "max_steps": 60,
                "judge_data": "reviews-labelled",
            }
        ),
    ),
    Preset(
        "neox-imdb-sentiment",
        "GPT-NeoX 20B on IMDB, RLOO",
        "As published, with RLOO in place of PPO: a 20B model in 8 bit is rewarded by a BERT that knows sentiment.",
        MappingProxyType(
            {
                "model": "EleutherAI/gpt-neox-20b",
                "dtype": "int8",
                "data": "stanfordnlp/imdb",
                "data_format": "text",
                "rewards": ["model:lvwerra/distilbert-imdb,label=POSITIVE,scale=logit"],
                "held_out_reward": "lexicon",
                "target_modules": ["query_key_value"],
                "max_prompt_length": 32,
                "max_completion_length": 32,
                "learning_rate": 1e-5,
            }
        ),
    ),
)
