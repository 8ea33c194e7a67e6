"""What reinforcement learning is asked for, in TRL's words: the algorithm, the rewards, and how far it may go."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from core.training.fields import TrainFields
from core.training.rewards import HELP, Reward, Sort, parse_rewards
from core.variant import ADVANCED

Algorithm = Literal["rloo", "grpo", "dpo"]
Written = Annotated[str, Field(min_length=1, max_length=600)]


class RlhfFields(TrainFields):
    """An adapter learns what is rewarded. The reference is the same model with the adapter off."""

    algorithm: Algorithm = Field(
        "rloo", description="rloo and grpo answer prompts and learn from rewards; dpo learns from preferences"
    )
    rewards: tuple[Written, ...] = Field(
        ("lexicon",), max_length=8, description=f"What counts: {HELP}", json_schema_extra={"flag": "reward"}
    )
    held_out_reward: str = Field(
        "",
        max_length=600,
        description="A reward that is only watched: it shows when those trained on are tricked",
    )
    prompt_words: int = Field(
        4, ge=1, le=1000, description="Of a text without a prompt, so many first words are the prompt"
    )
    max_prompt_length: int = Field(
        256, ge=1, le=1_048_576, description="Longer prompts are left out, in tokens", json_schema_extra=ADVANCED
    )
    num_generations: int = Field(4, ge=2, le=256, description="Answers to each prompt, compared with each other")
    max_completion_length: int = Field(32, ge=1, le=16_384, description="Tokens of an answer, at most")
    temperature: float = Field(1.0, gt=0, le=5, description="Of the answers", json_schema_extra=ADVANCED)
    top_p: float = Field(1.0, gt=0, le=1, description="Of the answers", json_schema_extra=ADVANCED)
    per_device_train_batch_size: int = Field(16, ge=1, le=1024, description="Answers that are computed at once")
    beta: float = Field(0.05, ge=0, le=10, description="How much each nat of KL to the reference costs")
    max_kl: float = Field(
        2.0, ge=0, le=100, description="rloo, grpo: end the run at this KL to the reference, nats a token; 0: never"
    )
    stop_on_alarm: bool = Field(
        False, description="End the run at any sign that the reward is tricked", json_schema_extra=ADVANCED
    )
    max_length: int = Field(
        512, ge=2, le=1_048_576, description="dpo: tokens of a prompt with its answer", json_schema_extra=ADVANCED
    )
    eval_prompts: int = Field(64, ge=0, le=10_000, description="Held-out prompts answered before and after")
    judge_data: str = Field(
        "",
        max_length=1000,
        description="Labelled data that teaches a judge: it counts positive answers, and is no reward",
    )
    judge_label: str = Field(
        "positive", min_length=1, max_length=200, description="What the judge counts", json_schema_extra=ADVANCED
    )
    judge_share: float = Field(
        0.5,
        gt=0,
        le=0.5,
        description="Which held-out share of that data the judge learns from: as the eval_share of the reward's job, "
        "with the same min_chars and max_chars, so that both saw other rows",
        json_schema_extra=ADVANCED,
    )

    @model_validator(mode="after")
    def _can_be_learned(self) -> Self:
        self.parsed_rewards  # noqa: B018  # raises
        if self.adapter:
            raise ValueError("adapter: merge it into its base first, which is then the reference.")
        if self.method == "full":
            raise ValueError("The reference is the model with its adapter off: take method lora.")
        if self.early_stopping_patience:
            raise ValueError("early_stopping_patience looks at a held-out loss, which there is none of: set max_kl.")
        if self.lora_dropout:
            raise ValueError("lora_dropout: answers and their likelihoods would differ by chance; leave it at 0.")
        if self.algorithm == "dpo":
            return self
        if not any(one.weight for one in self.parsed_rewards):
            raise ValueError(f"{self.algorithm} needs a reward that counts: {HELP}.")
        if not self.beta and self.max_kl:
            raise ValueError("With beta 0 no KL is measured, so that max_kl cannot hold: set it to 0, or beta to 1e-6.")
        if self.rows_per_step % self.num_generations:
            raise ValueError(
                f"A step has {self.rows_per_step} answers (per_device_train_batch_size × gradient_accumulation_steps), "
                f"which num_generations {self.num_generations} does not divide."
            )
        return self

    @property
    def is_online(self) -> bool:
        """Whether the model answers prompts while it learns."""
        return self.algorithm != "dpo"

    @property
    def parsed_rewards(self) -> tuple[Reward, ...]:
        """The rewards, the held-out one last with weight 0."""
        held_out = self.held_out_reward.strip()
        watched = (f"{held_out.rpartition('*')[0] or held_out}*0",) if held_out else ()
        return parse_rewards((*self.rewards, *watched))

    @property
    def reward_models(self) -> tuple[str, ...]:
        """The names of those that are models."""
        return tuple(dict.fromkeys(one.argument for one in self.parsed_rewards if one.sort is Sort.MODEL))
