"""A training as one would come of the built-in reviews: made by hand, for the pages that show one."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Any

from core.training.values import DataFacts, Judged, Preflight, TrainResult, Try
from core.values import Metric
from tests.web.previews import piece

TOTAL = 60
PROMPTS = ("The film is", "The performances are", "I left the cinema")
SAID = (
    " a thing of the thing of the",
    " good, but the script keeps getting in their way.",
    " a quiet triumph of its kind.",
)
FACTS = DataFacts(
    name="reviews", format="text", fingerprint="3f7a" * 16, licence="MIT", n_train=1900, n_eval=100, n_duplicates=3,
    n_cut=41, n_tokens=52_118,
)  # fmt: skip
ROW = (
    piece("<|im_start|>", is_trained=False, is_special=True),
    piece("a quiet film about ", is_trained=False),
    piece("two brothers", is_trained=True),
    piece("<|endoftext|>", is_trained=True, is_special=True),
)


def loss_at(step: int) -> float:
    """A loss that falls."""
    return 4.3 + 0.45 * exp(-step / 25) + 0.03 * ((step * 7) % 5 - 2)


def metrics(until: int, begin: int = 1, total: int = TOTAL) -> list[Metric]:
    """What is logged from one step to another."""
    found = []
    for step in range(begin, until + 1):
        values = {
            "loss": loss_at(step), "grad_norm": 1.1 + 0.1 * (step % 4), "learning_rate": 2e-4 * (1 - step / total),
            "mean_token_accuracy": 0.3 + step / 600, "tokens_per_s": 770.0 + step % 9, "epoch": step / total,
            "seconds": 1.9 * step,
        }  # fmt: skip
        found += [
            Metric(step=step, values=values, at=1.8e9 + 2 * step),
            Metric(step=step, sort="machine", values=machine(step), at=1.8e9 + 2 * step),
        ]
        if step % 10 == 0:
            told = {"eval_loss": loss_at(step) + 0.05, "perplexity": exp(loss_at(step) + 0.05)}
            found.append(Metric(step=step, sort="eval", values=told, at=1.8e9 + 2 * step))
    return found


def machine(step: int) -> dict[str, float]:
    """What is told of the machine."""
    busy = {"cpu_percent": 94.0 + step % 5, "host_bytes": 5.1e9 + 2e6 * step}
    return {"memory_bytes": 1.2e9 + 1e6 * step} | busy


def tries(until: int) -> tuple[Try, ...]:
    """What the prompts were answered so far."""
    return tuple(
        Try(step=step, prompt=prompt, completion=SAID[min(step // 30, 2)], has_ended=step >= 30)
        for step in range(0, until + 1, 10)
        for prompt in PROMPTS
    )


def result(step: int = TOTAL, total: int = TOTAL, **changes: Any) -> TrainResult:
    """The result after so many steps."""
    usual: dict[str, Any] = {
        "method": "lora", "base": "HuggingFaceTB/SmolLM2-135M-Instruct", "base_dtype": "float32",
        "trained_dtype": "float32", "n_trained": 4_884_480, "n_parameters": 139_399_488, "targets": ("all-linear",),
        "data": FACTS, "first_row": ROW, "step": step, "total_steps": total, "epoch": step / total,
        "preflight": Preflight(
            step_s=1.87, peak_bytes=1_310_000_000, predicted_bytes=1_290_000_000, tokens_per_s=782, expected_s=114
        ),
        "loss_first": loss_at(1), "loss_last": loss_at(step), "eval_loss_before": 4.79, "perplexity_before": 120.3,
        "seconds": 1.9 * step, "tokens_per_s": 774.0, "tokens": 870 * step, "checkpoint_bytes": 58_900_000,
        "tries": tries(step), "notes": ("Keeps activations: all takes 1.29 GB of 11.2 GB.",),
    }  # fmt: skip
    if step >= total:
        usual |= {
            "eval_loss": loss_at(step) + 0.05, "perplexity": exp(loss_at(step) + 0.05), "best_step": step,
            "ended_share": 1.0, "judged": judged(("best", "worst", "random")),
        }  # fmt: skip
    return TrainResult(**usual | changes)


def judged(which: Sequence[str]) -> tuple[Judged, ...]:
    """Held-out rows."""
    return tuple(
        Judged(which=one, text=f"a film that is {one} of its kind", loss=4.0 + n) for n, one in enumerate(which)
    )
