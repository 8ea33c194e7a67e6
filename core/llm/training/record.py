"""What is kept of a run while it goes on: who listens to the trainer (`core.llm.training.watch.Watcher`)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import torch

from core.llm.loading import first_device
from core.llm.own import own_bytes
from core.training.values import TrainResult, Try
from core.values import Metric, Progress

if TYPE_CHECKING:
    from core.jobs.kind import Context, Result
    from core.training.fields import TrainFields

MOST_TRIES = 200


R = TypeVar("R", bound=TrainResult)


class Record(Generic[R]):
    """The result of a run as far as it is known, kept in the job's row at each change.

    Args:
        result: of earlier attempts, or an empty one.
    """

    def __init__(self, spec: TrainFields, context: Context, result: R) -> None:
        self.now = result
        self.has_stopped_early = False
        self.ask: Callable[[int], tuple[Try, ...]] = lambda step: ()
        self.checkpoint_bytes: Callable[[], int] = lambda: 0
        self._spec, self._context = spec, context
        self._best: float | None = None
        self._misses = 0

    def keep(self, **changes: Any) -> None:
        """Change the result by the names of `TrainResult`."""
        finite = {name: None if _is_odd(value) else value for name, value in changes.items()}
        before, self.now = self.now, self.now.model_copy(update=finite)
        self._context.keep(cast("Result", self.now))
        self._tell(before, changes)

    def _tell(self, before: R, changes: dict[str, Any]) -> None:
        """What is new of it and belongs into the job's history."""
        if tried := changes.get("preflight"):
            self._context.event("preflight", **tried.model_dump(mode="json"))
        for note in _new("notes", before, changes):
            self._context.event("noted", text=note)
        for alarm in _new("alarms", before, changes):
            self._context.event("alarm", step=alarm.step, text=alarm.message)

    def say(self, words: str) -> None:
        """What is done just now."""
        self._context.progress(Progress(message=words))

    def go_on(self, step: int, logged: list[dict[str, float]]) -> None:
        """The run goes on after `step`, of which the trainer has `logged` all that was evaluated."""
        self._context.rewind(step)
        self._context.event("went_on", step=step)
        kept = tuple(one for one in self.now.tries if one.step <= step)
        self.keep(resumed_at=(*self.now.resumed_at, step), tries=kept, step=step)
        for one in logged:
            if "eval_loss" in one and one["step"] <= step:
                self._weigh(one["eval_loss"])
        self._look_at_patience()

    def begin(self) -> None:
        """Nothing has been learned yet."""
        self._context.rewind(-1)
        self.keep(tries=(), step=0)

    def answered(self, step: int) -> tuple[Try, ...]:
        """The answers after `step` steps, asked for where nobody has."""
        there = tuple(one for one in self.now.tries if one.step == step)
        if there:
            return there
        made = self.ask(step)
        self.keep(tries=(*self.now.tries, *made)[-MOST_TRIES:])
        return made

    def should_stop(self) -> bool:
        """Whether it is to save what it has and end."""
        return self._context.should_stop()

    def metric(self, metric: Metric) -> None:
        """A point of a curve."""
        self._context.metric(metric.model_copy(update={"at": time.time()}))

    def progress(self, progress: Progress) -> None:
        """How far it is."""
        self._context.progress(progress)

    def evaluated(self, step: int, loss: float, perplexity: float) -> bool:
        """Keep what held-out rows say, ask the prompts, and say whether the run goes on."""
        facts: dict[str, Any] = {"step": step, "eval_loss": loss, "perplexity": perplexity}
        if step == 0:
            facts |= {"eval_loss_before": loss, "perplexity_before": perplexity}
        if self._weigh(loss):
            facts["best_step"] = step
        self.keep(**facts)
        self.answered(step)
        self._look_at_patience()
        return not self.has_stopped_early

    def saved(self, step: int) -> None:
        """A checkpoint is whole."""
        self.keep(step=step, checkpoint_bytes=self.checkpoint_bytes())
        self._context.event("saved", step=step, n_bytes=self.now.checkpoint_bytes)

    def memory_bytes(self) -> int:
        """The peak by now on a card, what is held now on a host."""
        return int(torch.cuda.max_memory_allocated()) if first_device().startswith("cuda") else own_bytes()

    def _look_at_patience(self) -> None:
        patience = self._spec.early_stopping_patience
        self.has_stopped_early = bool(patience) and self._misses >= patience

    def _weigh(self, loss: float) -> bool:
        """Whether this loss is the best so far."""
        is_better = self._best is None or loss < self._best
        self._best, self._misses = (loss, 0) if is_better else (self._best, self._misses + 1)
        return is_better


def _new(name: str, before: TrainResult, changes: dict[str, Any]) -> list[Any]:
    """What a list of the result has now and had not."""
    return [one for one in changes.get(name, ()) if one not in getattr(before, name, ())]


def _is_odd(value: Any) -> bool:
    """Whether it is a number that JSON has no word for."""
    return isinstance(value, float) and not math.isfinite(value)
