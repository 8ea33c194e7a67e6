# ruff: noqa: ARG002  # the Trainer calls with all of these, by name
"""What a run tells while it goes on, and how it is stopped: between two steps, with a checkpoint."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from transformers import TrainerCallback

from core.errors import NotANumber
from core.usage import Usage
from core.values import Metric, Progress

if TYPE_CHECKING:
    from core.llm.training.steady import Clock

OF_TRAINING = (
    "loss",
    "grad_norm",
    "learning_rate",
    "mean_token_accuracy",
    "entropy",
    "tokens_per_s",
    "seconds",
    "epoch",
)


def no_number(said: str) -> NotANumber:
    """The error for a loss or weights that are NaN or infinite."""
    return NotANumber(said, "Take a lower learning rate, or float32; the last checkpoint is kept.")


class Watcher(Protocol):
    """Who listens to a run."""

    def should_stop(self) -> bool:
        """Whether it is to save what it has and end."""

    def metric(self, metric: Metric) -> None:
        """Hear what was logged."""

    def progress(self, progress: Progress) -> None:
        """Hear how far it is."""

    def evaluated(self, step: int, loss: float, perplexity: float) -> bool:
        """Hear of an evaluation; whether the run goes on after it."""

    def saved(self, step: int) -> None:
        """Hear of a checkpoint that is whole."""

    def memory_bytes(self) -> int:
        """The peak by now."""


class Watch(TrainerCallback):
    """Between the Trainer and whoever listens."""

    def __init__(self, watcher: Watcher, clock: Clock) -> None:
        self._watcher = watcher
        self._clock = clock
        self._usage = Usage.of_this_process()
        self._began: tuple[float, int] | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The clock of training runs."""
        self._began = self._began or (time.monotonic(), state.global_step)
        self._clock.go()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Say how far it is; where the run is to end, log what it has, save it and stop."""
        self._clock.stop()
        self._watcher.progress(
            Progress(
                current=state.global_step, total=state.max_steps, message=self._words(state), eta_s=self._eta_s(state)
            )
        )
        if self._watcher.should_stop():
            control.should_log = control.should_save = control.should_training_stop = True
            control.should_evaluate = False
        elif state.global_step >= state.max_steps:
            control.should_save = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """A point of each curve."""
        logs = logs or {}
        if "loss" in logs:
            self._tell(state.global_step, "train", self.figures(logs))
            held = {"memory_bytes": float(self._watcher.memory_bytes())}
            self._tell(state.global_step, "machine", held | self._usage.now())

    def figures(self, logs: dict[str, float]) -> dict[str, float]:
        """What a curve shows of what the Trainer logged."""
        return {name: float(logs[name]) for name in OF_TRAINING if name in logs}

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **_: Any
    ) -> Any:
        """A point of the held-out curve, and whether it goes on."""
        found = metrics or {}
        loss, perplexity = found.get("eval_loss", math.nan), found.get("eval_perplexity", math.nan)
        if not math.isfinite(loss):
            raise no_number(f"After step {state.global_step} the loss of held-out rows is no number.")
        self._tell(state.global_step, "eval", self.held_out(found))
        if not self._watcher.evaluated(state.global_step, loss, perplexity):
            control.should_save = control.should_training_stop = True
        return control

    def held_out(self, found: dict[str, float]) -> dict[str, float]:
        """What a curve shows of an evaluation."""
        return {"eval_loss": found["eval_loss"], "perplexity": found.get("eval_perplexity", math.nan)}

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A checkpoint is whole."""
        self._watcher.saved(state.global_step)

    def _tell(self, step: int, sort: Any, values: dict[str, float]) -> None:
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        if finite:
            self._watcher.metric(Metric(step=step, sort=sort, values=finite))

    def _words(self, state: Any) -> str:
        return f"step {state.global_step:,} of {state.max_steps:,}"

    def _eta_s(self, state: Any) -> float | None:
        """From the pace of this attempt, evaluations included; None in its first steps."""
        if self._began is None or state.global_step - self._began[1] < 3:
            return None
        pace_s = (time.monotonic() - self._began[0]) / (state.global_step - self._began[1])
        return float(pace_s * (state.max_steps - state.global_step))
