"""How well a reward tells held-out rows apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.comparison.values import Interval
from core.llm.statistics import wilson


@dataclass(frozen=True, slots=True)
class Figures:
    """`auc` is of labels, `margin` of pairs; None where it cannot be had."""

    accuracy: Interval
    auc: float | None = None
    margin: float | None = None


def prepare_figures() -> None:
    """Import what they need now: it takes memory, which is then counted as that of libraries."""
    import sklearn.metrics  # noqa: F401


def of_labels(logits_N_L: Tensor, numbers: Sequence[int]) -> Figures:
    """Rows whose likeliest label is theirs, and the area under the ROC curve; of several labels one against the rest.

    Args:
        numbers: the number of each row's label.
    """
    given = torch.tensor(list(numbers))
    hits = int((logits_N_L.argmax(dim=-1) == given).sum())
    return Figures(wilson(hits, len(given)), auc=_auc(logits_N_L, numbers))


def of_pairs(scores_2N: Tensor) -> Figures:
    """Pairs whose chosen answer is rewarded more, and by how much on average; chosen and rejected stand in turn."""
    margins = scores_2N[0::2] - scores_2N[1::2]
    return Figures(wilson(int((margins > 0).sum()), len(margins)), margin=float(margins.mean()))


def _auc(logits_N_L: Tensor, numbers: Sequence[int]) -> float | None:
    n_labels = logits_N_L.shape[-1]
    if len(set(numbers)) < n_labels or not bool(torch.isfinite(logits_N_L).all()):
        return None  # of a label that no held-out row has, nothing can be said
    from sklearn.metrics import roc_auc_score

    if n_labels == 2:
        return float(roc_auc_score(numbers, (logits_N_L[:, 1] - logits_N_L[:, 0]).numpy()))
    shares = torch.softmax(logits_N_L.double(), dim=-1).numpy()
    return float(roc_auc_score(numbers, shares, multi_class="ovr", labels=list(range(n_labels))))
