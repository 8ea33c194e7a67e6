"""What is kept of a run that makes a reward: a classifier learned from labels, or a model of preferences."""

from __future__ import annotations

from typing import Literal

from core.comparison.values import Interval
from core.training.values import TrainResult
from core.values import Value

Task = Literal["labels", "preferences"]


class LabelShare(Value):
    """How many rows have a label."""

    label: str
    n_train: int
    n_eval: int


class Proof(Value):
    """The reward loaded again from its files, against what was trained: on held-out rows, else on those learned."""

    n_rows: int
    largest_difference: float
    """Between two scores of the same row."""
    tolerance: float
    why_not: str = ""
    """What speaks against it; "" for nothing."""


class RewardReport(TrainResult):
    """What a run says of itself. Of labels `accuracy` counts rows, of preferences pairs in the right order.

    Figures without `_before` are of the trained model on held-out rows; the others of evaluations meanwhile.
    """

    task: Task | None = None
    labels: tuple[LabelShare, ...] = ()
    accuracy_before: float | None = None
    accuracy: Interval | None = None
    auc: float | None = None
    """Area under the ROC curve; of more than two labels the mean over each against the others."""
    margin: float | None = None
    """By how much the chosen answer is rewarded more, on average."""
    is_proven: bool = False
    """Whether it was loaded again from its files, gave the same scores, and passed the test of any reward."""
    proof: Proof | None = None
