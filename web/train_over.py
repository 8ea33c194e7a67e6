"""Training runs laid over each other: their losses in one picture, and what differs in what they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.client import Workbench
from core.diff import LETTERS, side_by_side
from core.errors import BadInput
from core.training.reward_values import RewardReport
from core.training.rlhf_values import RlhfResult
from core.training.values import TrainResult
from core.values import Job
from web import words
from web.format import significant, written
from web.side_view import shown_value
from web.templates import fragment
from web.train_curves import laid_over
from web.train_kinds import BY_KIND
from web.train_results import RESULTS, result_of

NONE = "\u2013"


def render_over(client: Workbench, jobs: Sequence[str]) -> dict[str, Any]:
    """What the page shows: its fragment, the curves, and whether one still runs.

    Raises:
        NotFound: there is no such job.
        BadInput: they are too few or too many, or one of them is no training.
    """
    found = side_by_side(client, jobs)
    if others := [side.job for side in found.sides if side.job.kind not in RESULTS]:
        raise BadInput(f"Job {others[0].id} is a {others[0].kind}: only trainings have curves.")
    kinds = {side.job.kind for side in found.sides}
    if len(kinds) > 1:
        raise BadInput(f"These are runs of {' and '.join(sorted(kinds))}: only those of one kind can be compared.")
    runs = [(LETTERS[n], side.job, client.metrics(side.job.id)) for n, side in enumerate(found.sides)]
    html = fragment(
        "train_over",
        found=found,
        words=words,
        value=shown_value,
        link=BY_KIND[kinds.pop()].link,
        figures=[_figures(side.job) for side in found.sides],
    )
    return {"html": html, "curves": laid_over(runs), "live": any(not job.state.is_finished for _, job, _ in runs)}


def _figures(job: Job) -> dict[str, str]:
    """What a run came to, by name; each run of a kind has the same names."""
    found = result_of(job) or RESULTS[job.kind]()
    special = _of_rlhf(found) if isinstance(found, RlhfResult) else _of_loss(found)
    told = {name: _written(value) for name, value in special.items()}
    return {"Steps": f"{found.step:,}", **told, "Time": written(found.seconds, "s") if found.seconds else NONE}


def _written(value: float | None) -> str:
    return NONE if value is None else f"{value:,}" if isinstance(value, int) else significant(value)


def _of_loss(found: TrainResult) -> dict[str, float | None]:
    losses = {"Loss": found.loss_last, "Held out": found.eval_loss}
    if isinstance(found, RewardReport):
        return losses | {"Told right, %": 100 * found.accuracy.value if found.accuracy else None, "AUC": found.auc}
    return losses | {"Perplexity": found.perplexity}


def _of_rlhf(found: RlhfResult) -> dict[str, float | None]:
    after = found.after
    return {
        "Reward": after.reward if after else None,
        "Positive, %": 100 * after.positive.value if after and after.positive else None,
        "KL": found.kl,
        "Different word pairs, %": 100 * after.distinct if after else None,
        "Alarms": len(found.alarms),
    }
