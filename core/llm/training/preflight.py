"""Two real steps on the longest rows before a run: what they take, and whether they can be done at all.

Nothing of the run changes by them: weights, random numbers and the optimizer's states are as they were.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from core.llm.resident import release_memory
from core.llm.training.trainer import Tuner

STEPS = 2


def try_longest(tuner: Tuner, peak_bytes: Callable[[Callable[[], None]], int]) -> tuple[float, float, int]:
    """Seconds a step, tokens a second, and peak bytes of two steps on the longest rows.

    Args:
        peak_bytes: measures what work takes.
    """
    seconds: list[float] = []
    batch = _longest(tuner)
    accumulated = tuner.args.gradient_accumulation_steps

    def work() -> None:
        for _ in range(STEPS):
            begun = time.perf_counter()
            for _ in range(min(accumulated, 2)):
                with tuner.accelerator.autocast():  # which the run has by preparing the model
                    tuner.training_step(tuner.model, dict(batch), _items(batch))
            _step(tuner)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds.append((time.perf_counter() - begun) * accumulated / min(accumulated, 2))

    with _untouched(tuner):
        peak = peak_bytes(work)
    tuner.forget_trial()
    n_tokens = int(batch["input_ids"].numel()) * accumulated
    return seconds[-1], n_tokens / seconds[-1], peak


def _longest(tuner: Tuner) -> dict[str, Any]:
    rows = tuner.train_dataset
    lengths = [len(ids) for ids in rows["input_ids"]]
    longest = sorted(range(len(lengths)), key=lambda index: -lengths[index])[: tuner.args.per_device_train_batch_size]
    batch = tuner.data_collator([rows[index] for index in longest])
    return {name: value.to(tuner.args.device) if hasattr(value, "to") else value for name, value in batch.items()}


def _items(batch: dict[str, Any]) -> Any:
    return (batch["labels"][..., 1:] != -100).sum()


def _step(tuner: Tuner) -> None:
    optimizer: Any = tuner.optimizer
    for one in tuner.model.parameters():
        if one.grad is not None:
            one.grad.zero_()  # scaled ones may be infinite, which a rate of 0 does not mend
    optimizer.step()
    optimizer.zero_grad()


@contextmanager
def _untouched(tuner: Tuner) -> Iterator[None]:
    """The state of every random number, and an optimizer whose rate is 0, which is thrown away afterwards."""
    states = random.getstate(), np.random.get_state()
    devices = [tuner.args.device] if tuner.args.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        tuner.model.train()
        tuner.create_optimizer()
        for group in tuner.optimizer.param_groups:
            group["lr"] = 0.0
        try:
            yield
        finally:
            tuner.optimizer = None
            tuner.model.zero_grad(set_to_none=True)
            random.setstate(states[0])
            np.random.set_state(states[1])
            release_memory()
