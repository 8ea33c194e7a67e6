"""Pipelines to begin with: the recipe on the built-in model, whole and in a few steps, and two that were published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from core.catalog import BUILTIN_NAME
from core.preset import Preset
from core.training.presets import BY_NAME as TRAININGS
from core.training.reward_presets import REWARD_PRESETS
from core.training.rlhf_presets import RLHF_PRESETS

BEGINNINGS = ["The film is", "The performances are", "I left the cinema", "The plot of this"]
ASKED: Mapping[str, Any] = {"prompts": BEGINNINGS, "max_new_tokens": 24, "seed": 42}
"""The same for every training step: their answers stand side by side."""
SHORT = {"min_chars": 40, "max_chars": 220}
"""Of the built-in reviews: neither single words nor whole paragraphs."""


def _step(name: str, kind: str, *fields: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for each in fields:
        merged |= each
    return {"name": name, "kind": kind, "fields": merged}


def _preset(name: str, title: str, about: str, *steps: dict[str, Any]) -> Preset:
    return Preset(name, title, about, MappingProxyType({"steps": list(steps)}))


def _fields_of(presets: Sequence[Preset], name: str) -> Mapping[str, Any]:
    return next(one.fields for one in presets if one.name == name)


def _compared(dtype: str, model: str, reviews: str, further: Mapping[str, Any]) -> dict[str, Any]:
    """The base, what it was merged into, and that with what was rewarded."""
    fields = {
        "model": model,
        "variants": [
            f"{dtype}+name=base",
            f"{dtype}+merged=@merge+name=merged",
            f"{dtype}+merged=@merge+adapter=@rlhf+name=rlhf",
        ],
        "reference": "base",
        "prompts": BEGINNINGS,
        "mode": "completion",
        "eval_text": reviews,
    }
    return _step("compare", "compare", fields, further)


def _builtin(
    *,
    sft: Mapping[str, Any],
    reward: Mapping[str, Any],
    rlhf: Mapping[str, Any],
    compare: Mapping[str, Any],
    merge: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict[str, Any], ...]:
    """The whole recipe on the built-in model and reviews. Reward and judge learn from different halves of the rows."""
    judged = {"judge_data": "reviews-labelled", "judge_share": 0.5, "held_out_reward": "lexicon"}
    rewarded = {"model": "@merge", "data": "reviews", "rewards": ["model:@reward,label=positive"], **judged}
    return (
        _step("sft", "sft", {"data": "reviews", **SHORT, "max_length": 56, "r": 16}, ASKED, sft),
        _step(
            "merge",
            "merge",
            {"adapter": "@sft", "dtype": "float32", "prompts": BEGINNINGS, "eval_text": "reviews"},
            merge,
        ),
        _step("reward", "reward", _fields_of(REWARD_PRESETS, "sentiment"), reward),
        _step(
            "rlhf",
            "rlhf",
            rewarded,
            SHORT,
            {"prompt_words": 4, "max_prompt_length": 32, "num_generations": 4},
            ASKED,
            rlhf,
        ),
        _compared("auto", BUILTIN_NAME, "reviews", compare),
    )


NEOX = "EleutherAI/gpt-neox-20b"
LLAMA = "meta-llama/Llama-2-7b-hf"
QUICK = {"max_new_tokens": 24, "context_lengths": [128], "batch_sizes": [1], "repeats": 2}

DEMO = _preset(
    "demo",
    "Positive reviews",
    "The whole recipe on the built-in model and reviews: it learns to write reviews, and then to praise.",
    *_builtin(
        sft={"max_steps": 60, "per_device_train_batch_size": 8, "learning_rate": 4e-4},
        reward={},
        rlhf={
            "max_steps": 40,
            "per_device_train_batch_size": 32,
            "max_completion_length": 20,
            "learning_rate": 4e-4,
            "beta": 0.03,
            "eval_prompts": 160,
        },
        compare={**QUICK, "eval_tokens": 2048, "window": 128},
    ),
)
BRIEF = {"prompts": BEGINNINGS[:1], "max_new_tokens": 8}
FEW = {"max_steps": 2, "per_device_train_batch_size": 4, "eval_steps": 1000, "max_eval_rows": 8}
FIRST = {"max_rows": 200}
SMOKE = _preset(
    "smoke",
    "Every stage in a few steps",
    "The same pipeline, far too short to learn much: it shows in a few minutes that every stage works.",
    *_builtin(
        sft={**FEW, **FIRST, **BRIEF},
        merge={**BRIEF, "eval_tokens": 64, "window": 64},
        reward={**FEW, "max_length": 48, "eval_share": 0.01},
        rlhf={
            **FEW,
            **FIRST,
            **BRIEF,
            "per_device_train_batch_size": 8,
            "max_completion_length": 8,
            "eval_prompts": 4,
            "judge_share": 0.01,
        },
        compare={
            **BRIEF,
            "variants": ["auto+name=base", "auto+merged=@merge+adapter=@rlhf+name=rlhf"],
            "context_lengths": [64],
            "batch_sizes": [1],
            "repeats": 1,
            "eval_tokens": 64,
            "window": 64,
        },
    ),
)
PUBLISHED_IMDB = _preset(
    "imdb",
    "IMDB sentiment on GPT-NeoX 20B",
    "As published: 20B in 8 bit on one card of 24 GB, LoRA on IMDB, merged, and rewarded by a classifier of sentiment.",
    _step("sft", "sft", TRAININGS["neox-int8-lora"].fields, ASKED),
    _step("merge", "merge", {"adapter": "@sft", "dtype": "float16", "prompts": BEGINNINGS}),
    _step(
        "rlhf",
        "rlhf",
        _fields_of(RLHF_PRESETS, "neox-imdb-sentiment"),
        {"model": "@merge", "max_steps": 200},
        ASKED,
    ),
    _compared("int8", NEOX, "reviews", QUICK),
)
QLORA = _preset(
    "qlora",
    "Instructions on Llama 2 7B",
    "As published: QLoRA with a 4-bit base on conversations, merged, and set beside the base in 4 bit.",
    _step("sft", "sft", TRAININGS["llama-2-qlora"].fields),
    _step("merge", "merge", {"adapter": "@sft"}),
    _step(
        "compare",
        "compare",
        {
            "model": LLAMA,
            "variants": ["nf4+name=base", "nf4+adapter=@sft+name=adapter", "nf4+merged=@merge+name=merged"],
            "reference": "base",
            "mode": "completion",
        },
        QUICK,
    ),
)
PRESETS: tuple[Preset, ...] = (DEMO, SMOKE, PUBLISHED_IMDB, QLORA)
BY_NAME: Mapping[str, Preset] = MappingProxyType({one.name: one for one in PRESETS})
