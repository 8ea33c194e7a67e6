"""The fields of a job that makes a reward, in the words of TRL and PEFT."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from core.data.spec import ChatFields
from core.memory.training import Training
from core.precision import Precision
from core.training.fields import TrainFields
from core.variant import ADVANCED, AUTO

LABELLED = ("reviews-labelled", "reviews-graded", "reviews")  # built in


class RewardFields(TrainFields, ChatFields):
    """What is learned, over which base, and how."""

    data: str = Field(
        "reviews-labelled",
        min_length=1,
        max_length=1000,
        description="Rows with a text and a label, or with prompt, chosen and rejected: built in (reviews-labelled, "
        "reviews-preferences), a Hub name (owner/name), the id of an upload or artifact, or a file of the worker's "
        "machine",
    )
    task: Literal["auto", "labels", "preferences"] = Field(
        "auto",
        description="labels makes a classifier of rows with a label, preferences a reward model of rows with chosen "
        "and rejected; auto: by the rows",
    )
    max_length: int = Field(
        512,
        ge=2,
        le=1_048_576,
        description="Tokens of a text: of a longer one the end is read, and pairs with a longer answer are left out",
    )
    center_rewards_coefficient: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Draws the rewards of preferences towards a mean of zero; 0: not at all",
        json_schema_extra=ADVANCED,
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.dtype != AUTO and Precision(self.dtype).is_quantized:
            raise ValueError(
                f"A reward is kept merged with its base, and weights in {self.dtype} cannot be merged into: take dtype "
                "auto, float32 or bfloat16."
            )
        if self.adapter:
            raise ValueError("A reward begins with a new adapter: merge the other into its base first, and name that.")
        if self.prompts:
            raise ValueError("A reward answers no prompts: leave prompts empty.")
        if self.early_stopping_patience and not (self.eval_share and self.max_eval_rows):
            raise ValueError("early_stopping_patience needs held-out rows: give eval_share and max_eval_rows.")
        return self

    @property
    def rows_at_once(self) -> int:
        """Texts that are computed at once: both answers of a pair are."""
        return self.per_device_train_batch_size * (2 if self._has_pairs else 1)

    def training(self, precision: Precision, **further: Any) -> Training:
        """How it is reckoned with before anything is loaded: no logits of words."""
        return super().training(precision, **(further | {"loss": "sequence"}))

    @property
    def _has_pairs(self) -> bool:
        if self.task != "auto":
            return self.task == "preferences"
        is_labelled = self.data_format == "labelled" or bool(self.label_column) or self.data in LABELLED
        return not is_labelled
