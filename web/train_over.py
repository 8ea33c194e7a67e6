"""Training runs laid over each other: their losses in one picture, and what differs in what they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.client import Workbench
from core.diff import LETTERS, side_by_side
from core.errors import BadInput
from core.values import Job
from web import words
from web.format import significant, written
from web.side_view import shown_value
from web.templates import fragment
from web.train_curves import laid_over
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
    if len(kinds := {side.job.kind for side in found.sides}) > 1:
        raise BadInput(f"These are runs of {' and '.join(sorted(kinds))}: only those of one kind can be compared.")
    runs = [(LETTERS[n], side.job, client.metrics(side.job.id)) for n, side in enumerate(found.sides)]
    html = fragment(
        "train_over",
        found=found,
        words=words,
        value=shown_value,
        figures=[_figures(side.job) for side in found.sides],
    )
    return {"html": html, "curves": laid_over(runs), "live": any(not job.state.is_finished for _, job, _ in runs)}


def _figures(job: Job) -> tuple[str, ...]:
    """Steps, the last losses, perplexity and the time of training."""
    found = result_of(job)
    if found is None:
        return (NONE,) * 5
    losses = (found.loss_last, found.eval_loss, found.perplexity)
    told = (NONE if one is None else significant(one) for one in losses)
    return (f"{found.step:,}", *told, written(found.seconds, "s") if found.seconds else NONE)
