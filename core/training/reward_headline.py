"""What a reward amounts to, in a sentence."""

from __future__ import annotations

from core.format import percent
from core.training.reward_values import LabelShare, RewardReport

RARE = 0.2  # of the rows; a label below it is rare where there are two


def reward_headline(now: RewardReport) -> str:
    """With the figures that were measured on held-out rows; "" where nothing was learned."""
    if now.step == 0:
        return ""
    said = [_learned(now), f"in {now.step:,} steps of {now.method} ({now.n_trained / 1e6:.3g} M weights)."]
    if now.is_proven:
        said.append("Loaded again from its files it gives the same scores.")
    return " ".join(said)


def _learned(now: RewardReport) -> str:
    if now.accuracy is None:
        return f"Loss {now.loss_first:.2f} → {now.loss_last:.2f}" if now.loss_first and now.loss_last else "Learned"
    one = now.accuracy
    what = "held-out pairs" if now.task == "preferences" else "held-out rows"
    told = f"Tells {percent(one.value)} of {one.n:,} {what} right ({percent(one.low)} to {percent(one.high)}"
    if now.auc is not None:
        told += f", AUC {now.auc:.3f}"
    if now.margin is not None:
        told += f", mean margin {now.margin:.2f}"
    return f"{told})"


def label_note(labels: tuple[LabelShare, ...]) -> str:
    """The share of each label among the rows learned, said for whoever reads an accuracy."""
    total = sum(one.n_train for one in labels)
    if not total:
        return ""
    ordered = sorted(labels, key=lambda one: -one.n_train)
    shares = ", ".join(f"{one.label} {percent(one.n_train / total)}" for one in ordered[:10])
    more = f" and {len(ordered) - 10:,} others" if len(ordered) > 10 else ""
    note = f"Labels of the rows learned: {shares}{more}."
    if ordered[-1].n_train * len(labels) < RARE * 2 * total:
        note += " They are unequal: always the most frequent one is a guess that is right as often as that."
    return note
