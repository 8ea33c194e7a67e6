"""A reward as fragments: how well it tells rows apart that it did not see, and whether it was proven."""

from __future__ import annotations

from collections.abc import Iterator

from core.format import percent, significant, small
from core.training.reward_values import RewardReport
from core.values import ArtifactRef, Job
from web.rewards_here import counted, link_to_use
from web.templates import fragment


def render_parts(found: RewardReport) -> dict[str, str]:
    """The fragment."""
    lines = list(told(found))
    if not (lines or found.labels):
        return {"train_told": ""}
    return {"train_told": fragment("train_told", found=found, lines=lines)}


def told(found: RewardReport) -> Iterator[tuple[str, str]]:
    """What is known of how well it tells, as names with figures."""
    if found.accuracy:
        one = found.accuracy
        what = "pairs in the right order" if found.task == "preferences" else "rows told right"
        before = f"; {percent(found.accuracy_before)} before training" if found.accuracy_before is not None else ""
        range_ = f"{percent(one.low)} to {percent(one.high)}"
        yield "Accuracy", f"{percent(one.value)} of {one.n:,} held-out {what} ({range_}){before}"
    if found.auc is not None:
        yield "AUC", f"{found.auc:.3f} on the same rows; 0.5 is a guess, 1 is without a fault"
    if found.margin is not None:
        yield "Margin", f"{significant(found.margin)} more for the chosen answer, on average"
    if found.proof:
        yield "Proven", proof_said(found)


def proof_said(found: RewardReport) -> str:
    """Whether it can be trusted as a reward, with the figures that say so; "" before that was tried."""
    proof = found.proof
    if proof is None:
        return ""
    if proof.why_not:
        return f"No: {proof.why_not}"
    apart = f"scores differ by {small(proof.largest_difference)} at most, {small(proof.tolerance)} is allowed"
    return f"Yes: loaded again from its files, {proof.n_rows:,} rows were scored once more; {apart}"


def link_of(job: Job, found: RewardReport, made: ArtifactRef) -> str:
    """The form of `rlhf` with this reward, and a judge that learns from the rows that it did not."""
    labels = tuple(one.label for one in found.labels)
    further: dict[str, str | float] = {}
    share = job.spec.get("eval_share")
    if labels and share:
        further = {"judge_data": str(job.spec.get("data")), "judge_share": share, "judge_label": counted(labels)}
        further |= {name: n for name in ("min_chars", "max_chars") if (n := job.spec.get(name))}
    return link_to_use(made.id, labels, further)
