"""Rows that a tiny model can learn a reward from, and a run over them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from core.jobs.reward import RewardResult, RewardSpec
from core.llm.training.rewarding import Rewarding
from tests.llm.tiny import N_TOKENS
from tests.llm.training.door import Door

QUICK: dict[str, Any] = {
    "max_steps": 6,
    "per_device_train_batch_size": 4,
    "max_length": 24,
    "r": 4,
    "lora_alpha": 8,
    "learning_rate": 0.01,
    "eval_share": 0.2,
    "eval_steps": 3,
    "save_steps": 2,
}


def write_labelled(path: Path, n_rows: int = 60, labels: tuple[str, ...] = ("negative", "positive")) -> str:
    """Texts of 6 to 14 words that end with the word of their label: w7, w9, w11."""
    numbers = random.Random(0)
    rows = []
    for _ in range(n_rows):
        label = numbers.randrange(len(labels))
        words = [f"w{numbers.randrange(12, N_TOKENS)}" for _ in range(numbers.randrange(5, 14))]
        rows.append({"text": " ".join([*words, f"w{7 + 2 * label}"]), "label": labels[label]})
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def write_pairs(path: Path, n_rows: int = 60) -> str:
    """Prompts of four words; w7 is in the answer that is chosen, w9 in the other."""
    numbers = random.Random(0)
    words = [" ".join(f"w{numbers.randrange(12, N_TOKENS)}" for _ in range(4)) for _ in range(n_rows)]
    rows = [
        {"prompt": prompt, "chosen": f" w{numbers.randrange(12, N_TOKENS)} w7", "rejected": " w9"} for prompt in words
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def rewarded(door: Door, model: str, data: str, **fields: Any) -> RewardResult:
    """Make a reward as a job does."""
    spec = RewardSpec.model_validate_json(json.dumps(QUICK | {"model": model, "data": data} | fields))
    return Rewarding(spec, door, RewardResult).run()  # type: ignore[arg-type]  # a Door has all that a training uses
