"""TRL's SFTTrainer, with what no setting of it does: losses without tiles, whole checkpoints, a stop at NaN.

The losses are TRL's to the last digits (tests hold the two together); `core.training.plan` says where which pays.
"""

from __future__ import annotations

import errno
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import rotate_checkpoints
from trl.trainer.sft_trainer import SFTTrainer

from core.errors import DiskFull
from core.llm.training.watch import no_number
from core.training.checkpoints import CLOCK, PREFIX, STATE


class Tuner(SFTTrainer):
    """An SFTTrainer whose rows are encoded already.

    Args:
        is_fused: take TRL's head and loss tile by tile; else the model's logits as they are.
    """

    model: Any  # the Trainer's own types leave None open, which it is at no time after its constructor
    optimizer: Any
    train_dataset: Any
    data_collator: Any

    def __init__(self, *args: Any, is_fused: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_fused = is_fused or self.aux_loss_enabled
        self.clock = Clock()
        self.before_saving: Callable[[], None] = lambda: None
        self.is_anothers = False
        """Whether the checkpoint that it goes on from is of another job."""
        self._aside = False
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

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """One batch forward and backward.

        Raises:
            NotANumber: its loss is none.
        """
        inputs = args[1]
        mask = inputs.get("attention_mask")
        self.clock.tokens += int(inputs["input_ids"].numel() if mask is None else mask.sum())
        step: Any = super().training_step
        loss: Tensor = step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise no_number(f"The loss at step {self.state.global_step + 1} is {loss.item()}, no number.")
        return loss

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
        if "loss" in logs:
            if self._hits[1]:
                logs["mean_token_accuracy"] = self._hits[0] / self._hits[1]
                self._hits = [0, 0]
            logs |= self.clock.logged()
        super().log(logs, start_time)

    def _init_training_state(self, max_steps: int, *args: Any) -> Any:
        """The intervals are those of the Spec, also where a checkpoint knows others."""
        init: Any = super()._init_training_state
        found = init(max_steps, *args)
        state: Any = self.state
        state.compute_steps(self.args, max_steps)
        return found

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Another job's checkpoint brings its learning rate with it: this one has its own."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint and self.is_anothers:
            rate = float(self.args.learning_rate)
            for group in self.optimizer.param_groups:
                group["initial_lr"] = rate
            scheduler: Any = self.lr_scheduler
            scheduler.base_lrs = [rate for _ in scheduler.base_lrs]
            for group, part in zip(self.optimizer.param_groups, scheduler.lr_lambdas, strict=True):
                group["lr"] = rate * part(scheduler.last_epoch)
            scheduler._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _get_output_dir(self, trial: Any) -> str:
        folder: str = super()._get_output_dir(trial)
        return str(Path(folder, "aside")) if self._aside else folder

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Written aside and then renamed: what is named checkpoint-N is whole, whenever the process dies.

        Raises:
            DiskFull: the disk has no room for it; the one before stays.
        """
        self.before_saving()
        self._check_weights()
        folder, name = Path(self._get_output_dir(trial)), f"{PREFIX}{self.state.global_step}"
        shutil.rmtree(folder / "aside", ignore_errors=True)
        self._aside = True
        try:
            Trainer._save_checkpoint(self, model, trial)
            (folder / "aside" / name / CLOCK).write_text(json.dumps(self.clock.so_far()))
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / "aside" / name).replace(folder / name)
        except (OSError, RuntimeError) as error:
            raise self._explained(error) from error
        finally:
            self._aside = False
            shutil.rmtree(folder / "aside", ignore_errors=True)
        rotate_checkpoints(output_dir=str(folder), save_total_limit=self.args.save_total_limit, use_mtime=False)

    def _check_weights(self) -> None:
        """A checkpoint that is none must not take the place of a good one."""
        trained = [one for one in self.model.parameters() if one.requires_grad]
        if not all(bool(torch.isfinite(one).all()) for one in trained):
            raise no_number(f"After step {self.state.global_step} the weights are no numbers any more.")

    def restore(self, checkpoint: Path) -> None:
        """Stand where the checkpoint stands, without training on."""
        load: Any = self._load_from_checkpoint
        load(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / STATE))

    def forget_trial(self) -> None:
        """Nothing that was counted before the run is part of it."""
        self._hits, self.clock.tokens = [0, 0], 0
        self._metrics["train"].clear()

    def _explained(self, error: OSError | RuntimeError) -> Exception:
        """torch writes optimizers by its own C++, which says nothing but that a write failed."""
        is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if is_full or "file write failed" in str(error) or "unexpected pos" in str(error):
            return DiskFull(
                f"The checkpoint of step {self.state.global_step} could not be written: the disk is full.",
                "Free some space, then go on from the checkpoint before it, which is whole.",
            )
        return error


class Clock:
    """Seconds and tokens of training alone: evaluations, answers and checkpoints stop it."""

    def __init__(self) -> None:
        self.tokens = 0
        self._seconds = 0.0
        self._since: float | None = None
        self._logged = (0.0, 0)

    def go(self) -> None:
        """From now on."""
        self._since = self._since or time.monotonic()

    def stop(self) -> None:
        """Not from now on."""
        self._seconds, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        """All by now."""
        return self._seconds + (time.monotonic() - self._since if self._since else 0.0)

    def logged(self) -> dict[str, float]:
        """What a curve shows of it, since the last time."""
        (then_s, then), now = self._logged, (self.seconds, self.tokens)
        self._logged = now
        rate = (now[1] - then) / (now[0] - then_s) if now[0] > then_s else 0.0
        return {"tokens_per_s": rate, "seconds": now[0]}

    def so_far(self) -> dict[str, float]:
        """For a checkpoint."""
        return {"seconds": self.seconds, "tokens": self.tokens}

    def restore(self, checkpoint: Path) -> None:
        """As it stood there."""
        kept = json.loads((checkpoint / CLOCK).read_text())
        self._seconds, self.tokens = float(kept["seconds"]), int(kept["tokens"])
        self._logged = (self._seconds, self.tokens)
