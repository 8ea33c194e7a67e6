"""Which checkpoint a job goes on from: its own newest, or that of a job that was stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput, NotFound
from core.training.checkpoints import PREFIX, STATE, checkpoints_of, newest_checkpoint
from core.training.lineage import read_lineage

if TYPE_CHECKING:
    from core.jobs.kind import Context
    from core.training.fields import TrainFields

MUST_AGREE = (
    "model", "revision", "method", "dtype", "r", "lora_alpha", "target_modules", "use_dora", "use_rslora", "optim",
    "per_device_train_batch_size", "gradient_accumulation_steps", "max_length", "packing", "seed", "task", "algorithm",
    "rewards", "num_generations", "max_completion_length", "max_prompt_length", "temperature", "top_p", "beta",
    "prompt_words",
)  # fmt: skip


class Checkpoints:
    """Of one job. They are pickles in part, so one is read only if this workbench wrote it: by id, never by path."""

    def __init__(self, context: Context, spec: TrainFields) -> None:
        self._context, self._spec = context, spec
        self.folder = checkpoints_of(context.scratch())
        self.folder.mkdir(exist_ok=True)

    def own(self) -> Path | None:
        """The newest of this job; None where it has none yet."""
        return newest_checkpoint(self.folder)

    def anothers(self, fingerprint: str, total_steps: int) -> Path | None:
        """A copy of the one that the Spec names, if it names one.

        Raises:
            NotFound: there is no such checkpoint.
            BadInput: it belongs to another sort of training, to other data, or has all steps already.
        """
        if not self._spec.resume_from:
            return None
        folder = self._context.open(self._spec.resume_from)
        if not (folder / STATE).is_file():
            raise NotFound(f"There is no checkpoint {self._spec.resume_from}.", "A job that was stopped names its own.")
        self._check(folder, fingerprint)
        step = int(json.loads((folder / STATE).read_text())["global_step"])
        if step >= total_steps:
            raise BadInput(f"The checkpoint has {step:,} steps and this job {total_steps:,}: ask for more steps.")
        target, aside = self.folder / f"{PREFIX}{step}", self.folder / "aside"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(folder, aside)
        aside.replace(target)
        return target

    def logged(self, checkpoint: Path) -> list[dict[str, float]]:
        """What the trainer had logged when it wrote this one."""
        found: list[dict[str, float]] = json.loads((checkpoint / STATE).read_text())["log_history"]
        return found

    def n_bytes(self) -> int:
        """Of all that are kept."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def _check(self, folder: Path, fingerprint: str) -> None:
        lineage = read_lineage(folder)
        there, here = lineage["spec"], self._spec.model_dump(mode="json")
        if odd := [name for name in MUST_AGREE if there.get(name) != here.get(name)]:
            name = odd[0]
            raise BadInput(
                f"{name} is {here.get(name)} here and {there.get(name)} in the checkpoint: it cannot be gone on from.",
                "Leave these fields as they were, or start anew.",
            )
        if (lineage.get("data") or {}).get("fingerprint") not in (None, fingerprint):
            raise BadInput("The checkpoint learned from other rows: it cannot be gone on from.", "Name the same data.")
