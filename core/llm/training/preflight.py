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

from core.llm.measure import PeakMeter
from core.llm.resident import release_memory
from core.llm.training.steady import Steady
from core.training.values import Preflight

STEPS = 2


def preflight(trainer: Steady, meter: PeakMeter, idle_bytes: int, predicted_bytes: int, n_steps: int) -> Preflight:
    """What two steps on the longest rows take, and a run of so many.

    Args:
        idle_bytes: what the process held before anything was loaded, which no estimate counts.
    """

    def peak_of(work: Callable[[], None]) -> int:
        with meter.watch() as peak:
            work()
        return peak.peak_bytes - idle_bytes

    step_s, rate, peak = try_longest(trainer, peak_of)
    return Preflight(
        step_s=step_s,
        peak_bytes=peak,
        predicted_bytes=predicted_bytes,
        tokens_per_s=rate,
        expected_s=step_s * n_steps,
    )


def try_longest(tuner: Steady, peak_bytes: Callable[[Callable[[], None]], int]) -> tuple[float, float, int]:
    """Seconds a step, tokens a second, and peak bytes of two steps on the longest rows.

    Args:
        peak_bytes: measures what work takes.
    """
    seconds: list[float] = []
    batch = _longest(tuner)
    accumulated = tuner.args.gradient_accumulation_steps
    tuner.current_gradient_accumulation_steps = accumulated  # else known from the first step on

    def work() -> None:
        for _ in range(STEPS):
            begun = time.perf_counter()
            for _ in range(min(accumulated, 2)):
                with tuner.accelerator.autocast():  # which the run has by preparing the model
                    tuner.training_step(tuner.model, dict(batch), tuner.n_items(batch))
            _step(tuner)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds.append((time.perf_counter() - begun) * accumulated / min(accumulated, 2))

    with _untouched(tuner):
        peak = peak_bytes(work)
    tuner.forget_trial()
    n_tokens = int(batch["input_ids"].numel()) * accumulated
    return seconds[-1], n_tokens / seconds[-1], peak


def _longest(tuner: Steady) -> dict[str, Any]:
    rows, lengths = tuner.train_dataset, tuner.row_lengths()
    longest = sorted(range(len(lengths)), key=lambda index: -lengths[index])[: tuner.args.per_device_train_batch_size]
    batch = tuner.data_collator([rows[index] for index in longest])
    return {name: value.to(tuner.args.device) if hasattr(value, "to") else value for name, value in batch.items()}


def _step(tuner: Steady) -> None:
    optimizer: Any = tuner.optimizer
    for one in tuner.model.parameters():
        if one.grad is not None:
            one.grad.zero_()  # scaled ones may be infinite, which a rate of 0 does not mend
    optimizer.step()
    optimizer.zero_grad()


@contextmanager
def _untouched(tuner: Steady) -> Iterator[None]:
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
