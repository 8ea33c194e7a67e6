"""What the training of a reward tells beside its loss: how many rows it tells right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.llm.training.watch import Watch

if TYPE_CHECKING:
    from core.llm.training.record import Record
    from core.llm.training.steady import Clock
    from core.training.reward_values import RewardReport

OF_TRAINING = ("accuracy", "margin", "mean_reward")
HELD_OUT = ("accuracy", "auc", "margin")


class RewardWatch(Watch):
    """Between the trainer of a reward and its record."""

    def __init__(self, record: Record[Any], clock: Clock) -> None:
        super().__init__(record, clock)
        self._record: Record[RewardReport] = record

    def figures(self, logs: dict[str, float]) -> dict[str, float]:
        """What a curve shows of what the trainer logged."""
        return super().figures(logs) | {name: float(logs[name]) for name in OF_TRAINING if name in logs}

    def held_out(self, found: dict[str, float]) -> dict[str, float]:
        """What a curve shows of an evaluation."""
        known = {name: float(found[f"eval_{name}"]) for name in HELD_OUT if f"eval_{name}" in found}
        return {"eval_loss": found["eval_loss"]} | known

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **more: Any
    ) -> Any:
        """A point of the held-out curve, and whether it goes on."""
        if state.global_step == 0 and metrics and "eval_accuracy" in metrics:
            self._record.keep(accuracy_before=float(metrics["eval_accuracy"]))
        return super().on_evaluate(args, state, control, metrics, **more)
