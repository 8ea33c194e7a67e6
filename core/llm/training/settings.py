"""A training's Spec as TRL's own settings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from transformers import TrainingArguments
from trl.trainer.sft_config import SFTConfig

from core.training.fields import TrainFields
from core.training.plan import Plan

if TYPE_CHECKING:
    from core.jobs.sft import SftSpec

EVALUATIONS, CHECKPOINTS = 5, 10  # of a run, where nothing else is asked


def sft_config(spec: SftSpec, plan: Plan, folder: Path, *, has_eval: bool) -> SFTConfig:
    """Nothing is left to TRL's defaults that differs from what the Spec says."""
    return on_one_card(
        SFTConfig(
            **common(spec, plan, folder),
            max_length=spec.max_length,
            packing=spec.packing,
            per_device_eval_batch_size=spec.per_device_train_batch_size,
            eval_strategy="steps" if has_eval else "no",
            eval_steps=spec.eval_steps or 1,
        )
    )


def common(spec: TrainFields, plan: Plan, folder: Path) -> dict[str, Any]:
    """What every trainer is told."""
    return {
        "output_dir": str(folder),
        "seed": spec.seed,
        "per_device_train_batch_size": spec.per_device_train_batch_size,
        "gradient_accumulation_steps": spec.gradient_accumulation_steps,
        "learning_rate": spec.learning_rate,
        "lr_scheduler_type": spec.lr_scheduler_type,
        "warmup_steps": spec.warmup_ratio,  # below 1 it is a share, as the Trainer reads it
        "weight_decay": spec.weight_decay,
        "max_grad_norm": spec.max_grad_norm,
        "optim": str(spec.optim),
        "num_train_epochs": spec.num_train_epochs,
        "max_steps": spec.max_steps or -1,
        "gradient_checkpointing": plan.has_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if plan.has_checkpointing else None,
        "bf16": plan.mixed == "bf16",
        "fp16": plan.mixed == "fp16",
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": spec.logging_steps,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": spec.save_steps or 1,
        "save_total_limit": spec.save_total_limit,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


C = TypeVar("C", bound=TrainingArguments)


def on_one_card(made: C) -> C:
    """The one card that the job was admitted to, whatever else the machine has."""
    made._n_gpu = min(made.n_gpu, 1)
    return made


def total_steps(spec: TrainFields, n_rows: int) -> int:
    """As the Trainer counts them: batches of an epoch in whole steps, the last of them perhaps smaller."""
    batches = math.ceil(n_rows / spec.per_device_train_batch_size)
    a_epoch = max(1, math.ceil(batches / spec.gradient_accumulation_steps))
    return spec.max_steps or math.ceil(spec.num_train_epochs * a_epoch)


def steps_between(asked: int, total: int, times: int, logging_steps: int) -> int:
    """As asked, else so that something happens so many times in a run, in whole steps of logging."""
    return asked or max(1, total // times // logging_steps) * logging_steps
