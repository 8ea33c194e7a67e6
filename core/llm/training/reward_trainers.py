"""The trainers of rewards: transformers' own for labels, TRL's RewardTrainer for preferences, with figures of both.

The losses are theirs to the last digits (tests hold them together), but for one thing: where several batches make a
step, transformers 5.23 adds up the means of classifiers whose `forward` takes any argument; here their mean is taken.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from trl.trainer.reward_trainer import RewardTrainer

from core.llm.training.reward_figures import Figures, of_labels, of_pairs
from core.llm.training.steady import Steady


class Scored(Steady):
    """What both share: figures of held-out rows over all of them, not over the means of batches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held_out: list[Tensor] = []

    def figures(self) -> Figures:
        """Of the held-out rows that were read since the last time."""
        raise NotImplementedError

    def _with_figures(self, logs: dict[str, float]) -> None:
        found = self.figures()
        self._held_out = []
        logs |= {f"eval_{name}": value for name, value in asdict(found).items() if isinstance(value, float)}
        logs["eval_accuracy"] = found.accuracy.value


class Labeller(Scored):
    """A Trainer whose rows are tokens and the number of a label."""

    loss_is_scaled_for_ga = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._numbers: list[int] = []
        self._hits = [0, 0]

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean cross-entropy of the labels."""
        del num_items_in_batch  # of tokens, which are not what is counted here
        labels = inputs["labels"]
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        loss = nn.functional.cross_entropy(outputs.logits.float(), labels)
        if self.model.training:
            self._hits[0] += int((outputs.logits.detach().argmax(-1) == labels).sum())
            self._hits[1] += len(labels)
        else:
            self._held_out.append(outputs.logits.detach().float().cpu())
            self._numbers += labels.tolist()
        return (loss, outputs) if return_outputs else loss

    def figures(self) -> Figures:
        """Accuracy and AUC."""
        numbers, self._numbers = self._numbers, []
        return of_labels(torch.cat(self._held_out), numbers)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Hand what is logged on, with the figures of this class."""
        if "eval_loss" in logs and self._held_out:
            self._with_figures(logs)
        if "loss" in logs and self._hits[1]:
            logs["accuracy"] = self._hits[0] / self._hits[1]
            self._hits = [0, 0]
        super().log(logs, start_time)

    def forget_trial(self) -> None:
        """Nothing that was counted before the run is part of it."""
        super().forget_trial()
        self._hits = [0, 0]


class Preferrer(Scored, RewardTrainer):
    """A RewardTrainer whose pairs are tokens already."""

    def row_lengths(self) -> list[int]:
        """Tokens of the longer answer of each pair."""
        rows = self.train_dataset
        return [max(len(one), len(other)) for one, other in zip(rows["chosen_ids"], rows["rejected_ids"], strict=True)]

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's: how surprising it is that the chosen answer is rewarded more."""
        compute: Any = super().compute_loss
        loss, outputs = compute(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if not self.model.training:
            chosen, rejected = outputs.logits.detach().float().cpu().squeeze(-1).chunk(2)
            self._held_out.append(torch.stack([chosen, rejected], dim=1).flatten())
        return (loss, outputs) if return_outputs else loss

    def figures(self) -> Figures:
        """Accuracy and mean margin."""
        return of_pairs(torch.cat(self._held_out))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Hand what is logged on; TRL's figures of held-out rows are means over batches."""
        if "eval_loss" in logs and self._held_out:
            self._with_figures(logs)
            self._metrics["eval"].clear()
        super().log(logs, start_time)

    def forget_trial(self) -> None:
        """Nothing that was counted before the run is part of it."""
        super().forget_trial()
        self._metrics["train"].clear()
        self._total_train_tokens = 0


def collate(pad_id: int, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Rows of one batch, filled up on the right."""
    width = max(len(row["input_ids"]) for row in rows)
    fill = [width - len(row["input_ids"]) for row in rows]
    return {
        "input_ids": torch.tensor([[*row["input_ids"], *[pad_id] * n] for row, n in zip(rows, fill, strict=True)]),
        "attention_mask": torch.tensor([[1] * (width - n) + [0] * n for n in fill]),
        "labels": torch.tensor([row["labels"] for row in rows]),
    }
