"""The trainer of a reward over its base: the head and the parts that are new are trained whole, beside the adapter."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import TrainingArguments, set_seed
from trl.trainer.reward_config import RewardConfig

from core.llm.heads import Headed, head_modules
from core.llm.training.base import made_ready, peft_config
from core.llm.training.reward_trainers import Labeller, Preferrer, Scored, collate
from core.llm.training.settings import common, on_one_card

if TYPE_CHECKING:
    from core.jobs.reward import RewardSpec
    from core.llm.training.reward_ground import RewardGround


def reward_trainer(spec: RewardSpec, ground: RewardGround, folder: Path) -> Scored:
    """The trainer for the task, over a new adapter or all weights."""
    model: Any = made_ready(spec, ground.loaded, None)
    config = head_config(spec, ground.headed)
    held_out = ground.held_out.first(spec.max_eval_rows)
    settings = common(spec, ground.plan, folder) | {
        "per_device_eval_batch_size": spec.per_device_train_batch_size,
        "eval_strategy": "steps" if held_out else "no",
        "eval_steps": spec.eval_steps or 1,
    }
    shared: dict[str, Any] = {
        "train_dataset": ground.train.dataset,
        "eval_dataset": held_out.dataset if held_out else None,
        "processing_class": ground.loaded.tokenizer,
    }
    if config:
        _in_float32(model, config.modules_to_save or [])
    if ground.task == "preferences":
        # 0 is nothing to TRL too, but for a sum that it would make of it
        center = spec.center_rewards_coefficient or None
        args = on_one_card(RewardConfig(**settings, max_length=None, center_rewards_coefficient=center))
        return Preferrer(model=model, args=args, peft_config=config, **shared)
    arguments = on_one_card(TrainingArguments(**settings))
    set_seed(spec.seed)  # as TRL does before it makes an adapter
    if config:
        model = get_peft_model(model, config)
        if ground.plan.has_checkpointing:
            model.enable_input_require_grads()
    pad_id = ground.loaded.tokenizer.pad_token_id
    return Labeller(model=model, args=arguments, data_collator=partial(collate, pad_id), **shared)


def head_config(spec: RewardSpec, headed: Headed) -> LoraConfig | None:
    """PEFT's settings of an adapter beside a head; None where all weights are trained."""
    config = peft_config(spec, headed.loaded)
    if config is None:
        return None
    names = list(dict.fromkeys([*head_modules(headed.loaded.model), *headed.new]))
    config.task_type = "SEQ_CLS"
    config.modules_to_save = names
    # what is trained whole gets no adapter: a pattern over whole names
    config.exclude_modules = rf"(.*\.)?({'|'.join(map(re.escape, names))})(\..*)?"
    return config


def merged(model: Any, dtype: torch.dtype) -> Any:
    """A model without adapter whose weights are those of what was trained, all of one dtype."""
    whole = model.merge_and_unload() if isinstance(model, PeftModel) else model
    return whole.to(dtype)


def _in_float32(model: nn.Module, names: list[str]) -> None:
    """Steps of a head's training are too small for 16 bit: it computes in float32, whatever stands before it."""
    for name, part in model.named_modules():
        if name.rpartition(".")[2] in names and any(one.dtype != torch.float32 for one in part.parameters()):
            part.float()
            part.register_forward_pre_hook(_as_float32)


def _as_float32(_module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.float() if isinstance(one, torch.Tensor) and one.is_floating_point() else one for one in given)
