"""The fields that every training job shares, in the words of TRL and PEFT."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from core.catalog import BUILTIN_NAME
from core.ids import is_id
from core.memory.optimizer import Optimizer
from core.memory.training import Training
from core.precision import Precision
from core.variant import ADVANCED, AUTO, Dtype, ModelSpec, Variant

Method = Literal["lora", "full"]
Scheduler = Literal[
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"
]
Switch = Literal["auto", "on", "off"]
Prompt = Annotated[str, Field(min_length=1, max_length=20_000)]
ALL_LINEAR = "all-linear"


class TrainFields(ModelSpec):
    """Which model is trained, how, and for how long. `auto` leaves a choice to the machine that runs it."""

    model: str = Field(
        BUILTIN_NAME,
        min_length=1,
        max_length=500,
        description="A Hub name, a folder, or the id of a model that a job made",
    )
    adapter: str | None = Field(
        None, max_length=500, description="An adapter to train further instead of a new one", json_schema_extra=ADVANCED
    )
    dtype: Dtype = Field(
        "auto",
        description="How the base is kept: with int8 or nf4 and LoRA this is QLoRA; auto takes the best 16 bit of the "
        "card, float32 on a processor",
    )
    method: Method = Field("lora", description="lora trains a small adapter beside the base, full all weights")
    r: int = Field(16, ge=1, le=1024, description="Rank of the adapter")
    lora_alpha: int = Field(32, ge=1, le=4096, description="The adapter is scaled by lora_alpha / r")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the adapter", json_schema_extra=ADVANCED)
    target_modules: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        (ALL_LINEAR,),
        min_length=1,
        max_length=64,
        description="Which layers get an adapter: all-linear, or names such as q_proj and v_proj",
        json_schema_extra=ADVANCED,
    )
    use_dora: bool = Field(False, description="DoRA: learn the length of each weight apart", json_schema_extra=ADVANCED)
    use_rslora: bool = Field(
        False, description="rsLoRA: scale by lora_alpha / √r instead of lora_alpha / r", json_schema_extra=ADVANCED
    )
    learning_rate: float = Field(2e-4, gt=0, le=1, description="Of the optimizer, after warming up")
    num_train_epochs: float = Field(1.0, gt=0, le=1000, description="How often the data is gone through")
    max_steps: int = Field(0, ge=0, le=10_000_000, description="End after so many steps; 0: after the epochs")
    per_device_train_batch_size: int = Field(8, ge=1, le=1024, description="Rows that are computed at once")
    gradient_accumulation_steps: int = Field(1, ge=1, le=4096, description="Batches that make one step")
    lr_scheduler_type: Scheduler = Field(
        "linear", description="How the learning rate goes on", json_schema_extra=ADVANCED
    )
    warmup_ratio: float = Field(
        0.0, ge=0, le=1, description="Share of the steps in which the rate rises", json_schema_extra=ADVANCED
    )
    optim: Optimizer = Field(
        Optimizer.ADAMW_FUSED,
        description="By the Trainer's name; 8-bit and paged ones take less",
        json_schema_extra=ADVANCED,
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="Of the optimizer", json_schema_extra=ADVANCED)
    max_grad_norm: float = Field(
        1.0, ge=0, le=1000, description="Gradients are clipped to this; 0: never", json_schema_extra=ADVANCED
    )
    mixed_precision: Literal["auto", "off", "bf16", "fp16"] = Field(
        "auto",
        description="What is computed in 16 bit while weights stay as they are; auto: bf16 where the card is fast "
        "at it, else fp16, off on a processor",
        json_schema_extra=ADVANCED,
    )
    gradient_checkpointing: Switch = Field(
        "auto",
        description="Compute activations twice instead of keeping them; auto: only where memory needs it",
        json_schema_extra=ADVANCED,
    )
    logging_steps: int = Field(
        1, ge=1, le=10_000, description="Steps between two points of a curve", json_schema_extra=ADVANCED
    )
    eval_steps: int = Field(0, ge=0, le=1_000_000, description="Steps between two evaluations; 0: a fifth of the run")
    max_eval_rows: int = Field(
        100,
        ge=0,
        le=1_000_000,
        description="Held-out rows that each evaluation reads, at most",
        json_schema_extra=ADVANCED,
    )
    save_steps: int = Field(0, ge=0, le=1_000_000, description="Steps between two checkpoints; 0: a tenth of the run")
    save_total_limit: int = Field(2, ge=1, le=100, description="Checkpoints that are kept", json_schema_extra=ADVANCED)
    early_stopping_patience: int = Field(
        0,
        ge=0,
        le=1000,
        description="End after so many evaluations without a better loss; 0: never",
        json_schema_extra=ADVANCED,
    )
    prompts: tuple[Prompt, ...] = Field(
        (),
        max_length=8,
        description="Answered at each evaluation; none: the beginnings of held-out rows",
        json_schema_extra={"flag": "prompt"},
    )
    max_new_tokens: int = Field(
        32, ge=1, le=1024, description="Of each of those answers, at most", json_schema_extra=ADVANCED
    )
    resume_from: str = Field(
        "", max_length=26, description="The id of a checkpoint to go on from", json_schema_extra=ADVANCED
    )
    seed: int = Field(42, ge=0, le=2**32 - 1, description="Of the adapter's beginning and the order of the rows")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        packed = self.dtype != AUTO and Precision(self.dtype).is_quantized
        if self.method == "full" and packed:
            raise ValueError(f"Weights in {self.dtype} cannot be trained: take method lora, or another dtype.")
        if self.resume_from and not is_id(self.resume_from):
            raise ValueError(f"resume_from: {self.resume_from} is not the id of a checkpoint.")
        if self.method == "full" and self.adapter:
            raise ValueError("An adapter is trained further with method lora, not full.")
        if self.dtype == "float16" and self.method == "full":
            raise ValueError("Weights in float16 lose small changes: train them in float32 with mixed_precision fp16.")
        if len(self.target_modules) > 1 and ALL_LINEAR in self.target_modules:
            raise ValueError(f"target_modules: {ALL_LINEAR} stands alone.")
        return self

    @property
    def variant(self) -> Variant:
        """The base; an adapter is laid on by the training itself."""
        # changes of a step are too small for 16 bit: those weights stay in float32, and mixed_precision computes in 16
        dtype = "float32" if self.method == "full" and self.dtype == AUTO else self.dtype
        return Variant(self.model, self.revision, dtype, self.attn_implementation, self.llm_int8_threshold)

    @property
    def rows_per_step(self) -> int:
        """Rows that one step learns from."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def rows_at_once(self) -> int:
        """Rows that are in memory together while one batch is computed."""
        return self.per_device_train_batch_size

    def training(self, precision: Precision, **further: Any) -> Training:
        """How it is reckoned with before anything is loaded."""
        is_attention = set(self.target_modules) <= {"q_proj", "v_proj", "query_key_value", "c_attn", "qkv_proj"}
        return Training(
            method="full" if self.method == "full" else "qlora" if precision.is_quantized else "lora",
            rank=self.r,
            targets="attention" if is_attention else "all-linear",
            optimizer=self.optim,
            has_dropout=self.lora_dropout > 0,
            **further,
        )
