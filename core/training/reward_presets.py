"""Rewards to begin with: a name, what it is, and the fields that are not the usual ones."""

from __future__ import annotations

from types import MappingProxyType

from core.preset import Preset

REWARD_PRESETS: tuple[Preset, ...] = (
    Preset(
        "sentiment",
        "Sentiment of reviews",
        "The built-in model learns to tell praise from blame; half of the rows are left to a judge of what it rewards.",
        MappingProxyType(
            {
                "data": "reviews-labelled",
                "eval_share": 0.5,
                "min_chars": 40,
                "max_chars": 220,
                "max_length": 64,
                "r": 8,
                "per_device_train_batch_size": 16,
                "learning_rate": 5e-4,
                "max_steps": 90,
            }
        ),
    ),
    Preset(
        "preferences",
        "Preferred reviews",
        "The built-in model learns which of two answers with the same opening is preferred.",
        MappingProxyType(
            {"data": "reviews-preferences", "max_length": 64, "r": 8, "learning_rate": 5e-4, "max_steps": 90}
        ),
    ),
    Preset(
        "imdb-sentiment",
        "DistilBERT on IMDB",
        "A small encoder learns the sentiment of film reviews of IMDB, to be the reward of a policy of any kind.",
        MappingProxyType(
            {
                "model": "distilbert/distilbert-base-uncased",
                "data": "stanfordnlp/imdb",
                "data_format": "labelled",
                "max_length": 512,
                "per_device_train_batch_size": 16,
                "learning_rate": 2e-4,
                "num_train_epochs": 1,
            }
        ),
    ),
)
