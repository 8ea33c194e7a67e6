"""What reinforcement learning tells while it goes on: rewards and KL, answers on the way, and signs of tricks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.llm.training.record import Record
from core.llm.training.steady import Clock
from core.llm.training.watch import OF_TRAINING, Watch
from core.training.guards import KL, Guards
from core.training.rlhf_values import Alarm

NAMES = {
    "reward": "reward",
    "reward_std": "reward_std",
    "kl": "kl",
    "entropy": "entropy",
    "completions/mean_length": "completion_length",
    "completions/clipped_ratio": "clipped",
    "frac_reward_zero_std": "all_alike",
    "held_out_reward": "held_out_reward",
    "held_out_std": "held_out_std",
    "distinct": "distinct",
    "one_word": "one_word",
    "reward_s": "reward_s",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/accuracies": "preferred_right",
    "rewards/margins": "reward_margin",
}
"""From TRL's names to those of the curves."""


def figures_of(logs: dict[str, Any]) -> dict[str, float]:
    """What a curve shows of what TRL logged: each part of the reward too."""
    found = {name: float(logs[name]) for name in OF_TRAINING if logs.get(name) is not None}
    found |= {ours: float(logs[theirs]) for theirs, ours in NAMES.items() if logs.get(theirs) is not None}
    for name, value in logs.items():
        if name.startswith("rewards/") and name.endswith("/mean") and value is not None:
            found[f"reward: {name.removeprefix('rewards/').removesuffix('/mean')}"] = float(value)
    return found


class RlWatch(Watch):
    """Looks at each step with the guards, and has prompts answered now and then."""

    def __init__(
        self,
        record: Record[Any],
        clock: Clock,
        guards: Guards,
        *,
        eval_steps: int,
        stops: bool,
        began: Callable[[float], None],
    ) -> None:
        super().__init__(record, clock)
        self._record, self._guards, self._eval_steps, self._stops = record, guards, eval_steps, stops
        self._first_step_s = began

    def figures(self, logs: dict[str, float]) -> dict[str, float]:
        """What a curve shows of what the Trainer logged."""
        return figures_of(logs)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """A run that was stopped just where prompts are answered has not had them answered."""
        if state.global_step and state.global_step % self._eval_steps == 0:
            self._record.answered(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> Any:
        """Prompts are answered, beside what the usual watch does."""
        control = super().on_step_end(args, state, control, **more)
        if state.global_step == 1:
            self._first_step_s(self._clock.seconds)
        if state.global_step % self._eval_steps == 0 and not control.should_training_stop:
            self._record.answered(state.global_step)
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **more: Any) -> Any:
        """A point of each curve; the guards look at it."""
        super().on_log(args, state, control, logs, **more)
        if not logs or "loss" not in logs:
            return control
        figures = figures_of(logs)
        alarms = self._guards.look(state.global_step, figures)
        if alarms:
            self._sound(alarms)
        fatal = next((one.sign for one in alarms if self._stops or one.sign == KL), "")
        if fatal and state.global_step < state.max_steps:
            self._record.keep(stopped_by=fatal)
            self._record.has_stopped_early = True
            control.should_save = control.should_training_stop = True
        return control

    def _sound(self, alarms: list[Alarm]) -> None:
        """With answers of just then, which stand beside the reference's to the same prompts."""
        self._record.keep(alarms=(*self._record.now.alarms, *alarms))
        self._record.answered(alarms[0].step)
