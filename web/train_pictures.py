"""Which charts a training has, by its kind: what is drawn together, under which title and in which unit."""

from __future__ import annotations

from dataclasses import dataclass

LOSS_UNIT = "nats a token"
PART = "reward: "  # before the name of a part of the reward
HELD_OUT = "held-out "


@dataclass(frozen=True)
class Picture:
    """What goes into one chart: (sort, name of the value, what its curve is called) of each; `factor` to its unit.

    Attributes:
        parts: names of training values that begin like this are further curves of it.
        ceiling: the field of the Spec that says at which value the run ends.
        has_alarms: whether the steps of alarms are marked in it.
    """

    id: str
    title: str
    curves: tuple[tuple[str, str, str], ...]
    unit: str = ""
    factor: float = 1.0
    is_from_zero: bool = False
    parts: str = ""
    ceiling: str = ""
    has_alarms: bool = False


MACHINE = (
    Picture("tokens_per_s", "Speed", (("train", "tokens_per_s", "speed"),), "tok/s", is_from_zero=True),
    Picture("learning_rate", "Learning rate", (("train", "learning_rate", "learning rate"),), is_from_zero=True),
    Picture("grad_norm", "Gradient norm", (("train", "grad_norm", "gradient norm"),), is_from_zero=True),
    Picture(
        "memory_bytes",
        "Memory",
        (("machine", "memory_bytes", "this run"), ("machine", "gpu_bytes", "the whole card")),
        "GB",
        1e-9,
        True,
    ),
    Picture(
        "host_bytes", "Memory of the machine, by all programs", (("machine", "host_bytes", "in use"),), "GB", 1e-9, True
    ),
    Picture("cpu_percent", "Processor, by this run", (("machine", "cpu_percent", "in use"),), "%", is_from_zero=True),
    Picture("gpu_percent", "Card, by all programs", (("machine", "gpu_percent", "in use"),), "%", is_from_zero=True),
    Picture("gpu_watts", "Power of the card", (("machine", "gpu_watts", "power"),), "W", is_from_zero=True),
    Picture("gpu_celsius", "Temperature of the card", (("machine", "gpu_celsius", "temperature"),), "°C"),
)
OF_SFT = (
    Picture("loss", "Loss", (("train", "loss", "training"), ("eval", "eval_loss", "held out")), LOSS_UNIT),
    Picture(
        "accuracy", "Tokens guessed right", (("train", "mean_token_accuracy", "training"),), "%", 100, is_from_zero=True
    ),
)
OF_REWARD = (
    Picture("loss", "Loss", (("train", "loss", "training"), ("eval", "eval_loss", "held out"))),
    Picture("accuracy", "Told right", (("train", "accuracy", "training"), ("eval", "accuracy", "held out")), "%", 100),
    Picture("mean_reward", "Mean reward", (("train", "mean_reward", "training"),)),
    Picture("auc", "AUC", (("eval", "auc", "held out"),)),
    Picture("margin", "Margin of the chosen answer", (("train", "margin", "training"), ("eval", "margin", "held out"))),
)
OF_RLHF = (
    Picture(
        "reward",
        "Reward",
        (("train", "reward", "what it learns from"), ("train", "held_out_reward", "held out, only watched")),
        parts=PART,
        has_alarms=True,
    ),
    Picture(
        "reward_std",
        "Spread of the reward",
        (("train", "reward_std", "what it learns from"), ("train", "held_out_std", "held out")),
        is_from_zero=True,
    ),
    Picture("preferred_right", "Pairs put right", (("train", "preferred_right", "training"),), "%", 100, True),
    Picture(
        "reward_margin", "Margin of chosen over rejected", (("train", "reward_margin", "margin"),), has_alarms=True
    ),
    Picture(
        "implicit",
        "How much likelier than by the reference",
        (("train", "reward_chosen", "chosen"), ("train", "reward_rejected", "rejected")),
        "beta × nats",
    ),
    Picture("kl", "KL to the reference", (("train", "kl", "KL"),), LOSS_UNIT, is_from_zero=True, ceiling="max_kl"),
    Picture("entropy", "Entropy of the answers", (("train", "entropy", "entropy"),), LOSS_UNIT, is_from_zero=True),
    Picture("completion_length", "Length of an answer", (("train", "completion_length", "length"),), "tokens", 1, True),
    Picture(
        "clipped",
        "Answers cut off, and groups without a lesson",
        (("train", "clipped", "cut off at the limit"), ("train", "all_alike", "all rewarded alike")),
        "%",
        100,
        True,
    ),
    Picture(
        "distinct",
        "Variety",
        (("train", "distinct", "different word pairs"), ("train", "one_word", "answers with the same word")),
        "%",
        100,
        True,
    ),
    Picture("loss", "Loss", (("train", "loss", "training"),)),
    Picture("reward_s", "Time of the rewards", (("train", "reward_s", "a step"),), "s", is_from_zero=True),
)
PICTURES = {"sft": OF_SFT, "reward": OF_REWARD, "rlhf": OF_RLHF}
LOSSES = (
    Picture("loss", "Loss while training", (("train", "loss", ""),), LOSS_UNIT),
    Picture("eval_loss", "Loss on held-out rows", (("eval", "eval_loss", ""),), LOSS_UNIT),
)
SPEED = Picture("tokens_per_s", "Speed", (("train", "tokens_per_s", ""),), "tok/s", is_from_zero=True)
OVER = {
    "sft": (*LOSSES, SPEED),
    "reward": (
        *LOSSES,
        Picture("accuracy", "Held-out rows told right", (("eval", "accuracy", ""),), "%", 100),
        SPEED,
    ),
    "rlhf": (
        Picture("reward", "Reward", (("train", "reward", ""),)),
        Picture("held_out_reward", "Held-out reward", (("train", "held_out_reward", ""),)),
        Picture("reward_margin", "Margin of chosen over rejected", (("train", "reward_margin", ""),)),
        Picture("kl", "KL to the reference", (("train", "kl", ""),), LOSS_UNIT, is_from_zero=True),
        Picture("entropy", "Entropy of the answers", (("train", "entropy", ""),), LOSS_UNIT, is_from_zero=True),
        Picture("distinct", "Different word pairs", (("train", "distinct", ""),), "%", 100, True),
        SPEED,
    ),
}
"""What is drawn of several runs over each other, by the kind of all."""


def pictures_of(kind: str) -> tuple[Picture, ...]:
    """The charts of a run of that kind, in their order; those of an unknown kind are those of a fine-tuning."""
    first, *rest = PICTURES.get(kind, OF_SFT)
    return (first, *MACHINE[:3], *rest, *MACHINE[3:]) if kind == "sft" else (first, *rest, *MACHINE)
