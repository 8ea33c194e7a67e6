"""TRL's SFTTrainer, with what no setting of it does: losses without tiles, a perplexity over all tokens.

The losses are TRL's to the last digits (tests hold the two together); `core.training.plan` says where which pays.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from trl.trainer.sft_trainer import SFTTrainer

from core.llm.training.steady import Steady


class Tuner(Steady, SFTTrainer):
    """An SFTTrainer whose rows are encoded already.

    Args:
        is_fused: take TRL's head and loss tile by tile; else the model's logits as they are.
    """

    def __init__(self, *args: Any, is_fused: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_fused = is_fused or self.aux_loss_enabled
        self._held_out = [0.0, 0]
        self._hits = [0, 0]

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean loss of the trained tokens, divided by `num_items_in_batch` where several batches make a step."""
        if self.is_fused or return_outputs:
            fused: Any = super().compute_loss
            return fused(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][..., 1:]
        is_trained = labels != -100
        outputs = model(**{name: value for name, value in inputs.items() if name != "labels"}, use_cache=False)
        logits, targets = outputs.logits[..., :-1, :][is_trained].float(), labels[is_trained]
        total = nn.functional.cross_entropy(logits, targets, reduction="sum")
        count = is_trained.sum() if num_items_in_batch is None else torch.as_tensor(num_items_in_batch)
        if self.model.training:
            self._hits[0] += int((logits.detach().argmax(-1) == targets).sum())
            self._hits[1] += int(is_trained.sum())
        return total / count.to(total.device).clamp(min=1)

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """One held-out batch; its loss also counts for the perplexity over all tokens."""
        found = super().prediction_step(model, inputs, *args, **kwargs)
        n_tokens = int((inputs["labels"][..., 1:] != -100).sum())
        self._held_out = [self._held_out[0] + float(found[0]) * n_tokens, self._held_out[1] + n_tokens]
        return found

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Hand what is logged on, with the figures of this class."""
        if "eval_loss" in logs and self._held_out[1]:
            logs["eval_perplexity"] = math.exp(min(self._held_out[0] / self._held_out[1], 700.0))
            self._held_out = [0.0, 0]
        if "loss" in logs and self._hits[1]:
            logs["mean_token_accuracy"] = self._hits[0] / self._hits[1]
            self._hits = [0, 0]
        super().log(logs, start_time)

    def n_items(self, batch: dict[str, Any]) -> Any:
        """The tokens that count in the loss."""
        return (batch["labels"][..., 1:] != -100).sum()

    def forget_trial(self) -> None:
        """Nothing that was counted before the run is part of it."""
        super().forget_trial()
        self._hits = [0, 0]
        self._metrics["train"].clear()
