"""What can be trained on the page Fine-tune: a kind of job, what it asks first, and what is folded away.

Which fields there are is the Spec's business: one that no group names stands in the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from core.jobs.reward import RewardSpec
from core.jobs.rlhf import RlhfSpec
from core.jobs.sft import SftSpec
from core.preset import Preset
from core.training.presets import PRESETS
from core.training.reward_presets import REWARD_PRESETS
from core.training.rlhf_presets import RLHF_PRESETS

Names = tuple[str, ...]
Trained = SftSpec | RewardSpec | RlhfSpec
ROWS = (
    "data_format", "max_rows", "eval_share", "prompt_template", "completion_template", "text_template", "label_column",
    "chat_template", "completion_only_loss", "assistant_only_loss", "data_config", "data_split", "data_revision",
    "min_chars", "max_chars", "split_seed",
)  # fmt: skip
ADAPTER = ("lora_alpha", "lora_dropout", "target_modules", "use_dora", "use_rslora", "adapter")
OPTIMIZER = (
    "gradient_accumulation_steps", "lr_scheduler_type", "warmup_ratio", "optim", "weight_decay", "max_grad_norm",
    "seed",
)  # fmt: skip
ON_THE_WAY = (
    "prompts", "max_new_tokens", "eval_steps", "max_eval_rows", "early_stopping_patience", "logging_steps",
    "save_steps", "save_total_limit", "resume_from",
)  # fmt: skip
MACHINE = ("mixed_precision", "gradient_checkpointing", "attn_implementation", "revision")


@dataclass(frozen=True)
class TrainKind:
    """One of the choices at the head of the page.

    Attributes:
        basics: fields that are asked at once.
        folded: the others by what they are about.
        only: by a sort of algorithm, the fields that the others have no use for: the page hides them.
        left_out: fields that its Spec refuses to have set: there is nothing to ask.
        none_yet: what stands where its runs would be.
    """

    name: str
    title: str
    help: str
    spec: type[Trained]
    basics: Names
    folded: tuple[tuple[str, Names], ...]
    presets: tuple[Preset, ...] = ()
    only: Mapping[str, Names] = field(default_factory=dict)
    none_yet: str = ""
    left_out: Names = ()

    @property
    def link(self) -> str:
        """Where its form is."""
        return f"/train?{urlencode({'kind': self.name})}"

    def groups(self) -> list[tuple[str, Names]]:
        """What is folded away; every field of the Spec is in one group or a basic one."""
        fields = [name for name in self.spec.model_fields if name not in (*self.left_out, *self.basics)]
        kept = [(title, tuple(name for name in names if name in fields)) for title, names in self.folded]
        named = {name for _, names in kept for name in names}
        title, last = kept[-1]
        return [*kept[:-1], (title, (*last, *(name for name in fields if name not in named)))]


SFT = TrainKind(
    name="sft",
    title="Fine-tune",
    help="Teach a model with rows of your own: an adapter beside it, or all its weights. Watch it learn, pause it, go "
    "on later.",
    spec=SftSpec,
    basics=(
        "model", "data", "method", "dtype", "r", "learning_rate", "num_train_epochs", "max_steps",
        "per_device_train_batch_size", "max_length", "packing",
    ),
    folded=(
        ("Rows and columns", ROWS),
        ("Adapter", ADAPTER),
        ("Optimizer", OPTIMIZER),
        ("Evaluation, answers and checkpoints", ON_THE_WAY),
        ("Machine", MACHINE),
    ),
    presets=PRESETS,
    none_yet="No model was trained here yet. “Reviews, quick” above fills the form in for a first run.",
)  # fmt: skip
REWARD = TrainKind(
    name="reward",
    title="Reward",
    help="Teach a model to score texts: a classifier from labels, or a reward model from pairs of which one is "
    "preferred. It is loaded again and proven before it can be used.",
    spec=RewardSpec,
    basics=(
        "model", "data", "task", "dtype", "r", "learning_rate", "num_train_epochs", "max_steps",
        "per_device_train_batch_size", "max_length", "eval_share",
    ),
    folded=(
        ("Rows and columns", ROWS),
        ("Adapter and head", ("method", *ADAPTER, "center_rewards_coefficient")),
        ("Optimizer", OPTIMIZER),
        ("Evaluation and checkpoints", ON_THE_WAY),
        ("Machine", MACHINE),
    ),
    presets=REWARD_PRESETS,
    left_out=("adapter", "prompts", "max_new_tokens"),
    none_yet="No reward was made here yet. “Sentiment of reviews” above fills the form in for a first run.",
)  # fmt: skip
RLHF = TrainKind(
    name="rlhf",
    title="RLHF",
    help="Let a model answer and learn from what is rewarded, or from answers that people prefer. Guards look out for "
    "tricks: a reward that rises while the answers get worse.",
    spec=RlhfSpec,
    basics=(
        "model", "data", "algorithm", "rewards", "held_out_reward", "dtype", "learning_rate", "num_train_epochs",
        "max_steps", "per_device_train_batch_size", "num_generations", "max_completion_length", "max_length", "beta",
        "max_kl",
    ),
    folded=(
        ("Prompts and answers", ("prompt_words", "max_prompt_length", "temperature", "top_p")),
        ("Judge and guards", ("judge_data", "judge_label", "judge_share", "eval_prompts", "stop_on_alarm")),
        ("Rows and columns", ROWS),
        ("Adapter", ("r", *ADAPTER)),
        ("Optimizer", OPTIMIZER),
        ("Answers on the way, and checkpoints", ON_THE_WAY),
        ("Machine", MACHINE),
    ),
    presets=RLHF_PRESETS,
    left_out=("adapter", "method", "early_stopping_patience"),
    only={
        "online": ("rewards", "held_out_reward", "num_generations", "max_kl", "stop_on_alarm"),
        "dpo": ("max_length",),
    },
    none_yet="No model has learned from rewards here yet. “Kinder reviews” above fills the form in for a first run.",
)  # fmt: skip
TRAIN_KINDS: tuple[TrainKind, ...] = (SFT, REWARD, RLHF)
BY_KIND: Mapping[str, TrainKind] = {one.name: one for one in TRAIN_KINDS}
