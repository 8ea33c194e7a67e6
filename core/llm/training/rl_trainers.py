"""TRL's trainers of reinforcement learning, steadied, with figures of what answers are like beside their rewards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer
from trl.trainer.utils import RepeatSampler

from core.llm.rewards import Rewards, Scorer
from core.llm.training.answers import answer_of
from core.llm.training.base import made_ready, peft_config
from core.llm.training.settings import common, on_one_card
from core.llm.training.steady import Steady
from core.training.texts import distinct_pairs, most_shared

if TYPE_CHECKING:
    from core.jobs.rlhf import RlhfSpec
    from core.llm.training.rl_ground import RlGround


class Online(Steady):
    """Stands before RLOO or GRPO, which answer prompts at each step and learn from the rewards of the answers."""

    def n_tokens(self, inputs: Any) -> int:  # noqa: ARG002  # the other trainers' come as tokens
        """Prompts come as texts: their tokens are counted once there are answers to them."""
        return 0

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        sample: Any = super()._get_train_sampler
        made = sample(dataset)
        made.__class__ = _Resumable
        return made

    def _generate_single_turn(self, prompt_ids: list[Any], *further: Any, **more: Any) -> Any:
        """As many answers at once as are computed at once: TRL makes those of a whole step together."""
        generate: Any = super()._generate_single_turn  # type: ignore[misc]
        size = self.args.per_device_train_batch_size
        parts = [
            generate(prompt_ids[begin : begin + size], *further, **more) for begin in range(0, len(prompt_ids), size)
        ]
        if isinstance(parts[0], tuple):  # of GRPO, with likelihoods that only vLLM gives
            return [one for ids, _ in parts for one in ids], None
        return [one for ids in parts for one in ids]

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        score: Any = super()._generate_and_score_completions  # type: ignore[misc]
        made = score(inputs)
        self.clock.tokens += int(made["prompt_mask"].sum() + made["completion_mask"].sum())
        return made

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        begun, calculate = time.monotonic(), super()._calculate_rewards  # type: ignore[misc]
        found: Tensor = calculate(inputs, prompts, completions, completion_ids_list)
        trainer: Any = self
        figures = trainer._metrics["train" if self.model.training else "eval"]
        figures["reward_s"].append(time.monotonic() - begun)
        for name, value in _of_answers([plain(one) for one in completions]).items():
            figures[name].append(value)
        watched = [at for at, weight in enumerate(trainer.reward_weights.tolist()) if not weight]
        for at in watched:
            scores = found[:, at].tolist()
            figures["held_out_reward"].append(fmean(scores))
            figures["held_out_std"].append(pstdev(scores))
        return found


class _Resumable(RepeatSampler):
    """TRL's sampler, which goes on in a later epoch as if it had been through the ones before."""

    def set_epoch(self, epoch: int) -> None:
        """Stand at the beginning of an epoch."""
        self.generator.manual_seed(self.seed or 0)
        for _ in range(epoch):
            torch.randperm(self.num_samples, generator=self.generator)


class Rloo(Online, RLOOTrainer):
    """REINFORCE Leave-One-Out."""


class Grpo(Online, GRPOTrainer):
    """Group Relative Policy Optimization."""


class Dpo(Steady, DPOTrainer):
    """Direct Preference Optimization."""


def make_trainer(spec: RlhfSpec, ground: RlGround, folder: Path) -> Steady:
    """The trainer of the algorithm, over a new adapter; the reference is its model with that adapter off."""
    shared: dict[str, Any] = {
        "model": made_ready(spec, ground.loaded, None),
        "train_dataset": ground.dataset,
        "processing_class": ground.loaded.tokenizer,
        "peft_config": peft_config(spec, ground.loaded),
    }
    usual: dict[str, Any] = {**common(spec, ground.plan, folder), "beta": spec.beta}
    if not spec.is_online:
        return Dpo(args=on_one_card(DPOConfig(**usual, max_length=spec.max_length)), **shared)
    online: dict[str, Any] = {
        "num_generations": spec.num_generations,
        "max_completion_length": spec.max_completion_length,
        "temperature": spec.temperature,
        "top_p": spec.top_p,
        "reward_weights": list(ground.rewards.weights),
        "disable_dropout": True,  # an answer's likelihood must be that which it was drawn with
    }
    functions = _functions(ground.rewards, ground.loaded.tokenizer)
    if spec.algorithm == "grpo":
        return Grpo(args=on_one_card(GRPOConfig(**usual, **online)), reward_funcs=functions, **shared)
    return Rloo(args=on_one_card(RLOOConfig(**usual, **online)), reward_funcs=functions, **shared)


def plain(spoken: Any) -> str:
    """A text, or the contents of messages one below the other."""
    return spoken if isinstance(spoken, str) else "\n".join(str(one["content"]) for one in spoken)


def _functions(rewards: Rewards, tokenizer: Any) -> list[Any]:
    """As TRL calls them; it names the curves after the functions."""
    each = zip(rewards.names, rewards.scorers(), strict=True)
    return [_function(name, scorer, tokenizer) for name, scorer in each]


def _function(name: str, scorer: Scorer, tokenizer: Any) -> Any:
    def reward(
        prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Sequence[list[int]], **_: Any
    ) -> list[float]:
        answers = [
            answer_of(tokenizer, tokenizer(prompt)["input_ids"], ids) if isinstance(prompt, str) else plain(said)
            for prompt, said, ids in zip(prompts, completions, completion_ids, strict=True)
        ]
        with torch.random.fork_rng():  # whatever a model draws, the answers to come stay the same
            return list(scorer(prompts, answers))

    reward.__name__ = name
    return reward


def _of_answers(texts: Sequence[str]) -> dict[str, float]:
    return {"distinct": distinct_pairs(texts), "one_word": most_shared(texts)[1]}
