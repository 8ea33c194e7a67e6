"""What a Trainer of any sort gets here: whole checkpoints, a stop at NaN, a clock, and a learning rate of its own."""

from __future__ import annotations

import errno
import json
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

from core.errors import DiskFull
from core.llm.training.watch import no_number
from core.training.checkpoints import CLOCK, PREFIX, STATE


class Steady(Trainer):
    """Stands before one of TRL's trainers: `class Tuner(Steady, SFTTrainer)`."""

    model: Any  # the Trainer's own types leave None open, which it is at no time after its constructor
    optimizer: Any
    train_dataset: Any
    data_collator: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock = Clock()
        self.before_saving: Callable[[], None] = lambda: None
        self.is_anothers = False
        """Whether the checkpoint that it goes on from is of another job."""
        self._aside = False

    def n_tokens(self, inputs: Any) -> int:
        """Of a batch, its padding left out."""
        mask = inputs.get("attention_mask")
        return int(inputs["input_ids"].numel() if mask is None else mask.sum())

    def row_lengths(self) -> list[int]:
        """Tokens of each row that is trained on."""
        return [len(ids) for ids in self.train_dataset["input_ids"]]

    def n_items(self, batch: dict[str, Any]) -> Any:  # noqa: ARG002  # that of a loss over tokens asks
        """What the loss of a batch is divided by; None where it is its own mean."""
        return None

    def forget_trial(self) -> None:
        """Nothing that was counted before the run is part of it."""
        self.clock.tokens = 0

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """One batch forward and backward.

        Raises:
            NotANumber: its loss is none.
        """
        self.clock.tokens += self.n_tokens(args[1])
        step: Any = super().training_step
        loss: Tensor = step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise no_number(f"The loss at step {self.state.global_step + 1} is {loss.item()}, no number.")
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Hand what is logged on, with the pace."""
        if "loss" in logs:
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
