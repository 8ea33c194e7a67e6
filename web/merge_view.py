"""A merge as fragments: the verdict with its rule, the figures that it rests on, and what both models answer."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlencode

from pydantic import ValidationError

from core.comparison.merged import Distance, MergeReport, Verdict
from core.comparison.variants import BEFORE_AFTER
from core.format import percent, small
from core.values import ArtifactKind, Job
from web.compare_outputs import Said, side_by_side
from web.templates import fragment
from web.train_view import Step
from web.words import Chip

KIND = "merge"
BASE, MERGED = "base + adapter", "merged"
CHIPS = {Verdict.PASSED: Chip("✓", "PASS", "good"), Verdict.FAILED: Chip("✕", "FAIL", "bad")}


def report_of(job: Job) -> MergeReport | None:
    """What a merge says of itself by now; None where it says nothing that this version reads."""
    if job.kind != KIND or not job.result:
        return None
    known = {name: value for name, value in job.result.items() if name in MergeReport.model_fields}
    try:
        return MergeReport.model_validate(known)
    except ValidationError:
        return None


def render_parts(job: Job) -> dict[str, str]:
    """The fragment beside the headline."""
    found = report_of(job)
    return {"merged": _rendered(found.model_dump_json()) if found else ""}


@lru_cache(maxsize=16)
def _rendered(text: str) -> str:
    found = MergeReport.model_validate_json(text)
    measured = (
        ("The merged model", found.found),
        (f"Base + adapter, run in {found.dtype}", found.floor),
        ("The same computed twice", found.noise),
    )
    answers = [
        (one.prompt, side_by_side([Said(BASE, one.adapter, one.why_not), Said(MERGED, one.merged, one.why_not)], BASE))
        for one in found.samples
    ]
    rows = [(name, *_figures(one)) for name, one in measured if one]
    return fragment("merged", found=found, rows=rows, answers=answers)


def _figures(one: Distance) -> tuple[str, str, str]:
    return small(one.kl), percent(one.top1, 2), small(one.logit_difference)


def render_said(job: Job) -> str:
    """The headline with its verdict, and what to do next."""
    found = report_of(job)
    if found is None or not found.text:
        return ""
    chip = CHIPS[found.verdict] if found.verdict else None
    return fragment("merged_said", found=found, chip=chip, steps=next_steps(job, found))


def next_steps(job: Job, found: MergeReport) -> list[Step]:
    """What one would do with the merged model; nothing with one that failed its check."""
    model = next((one for one in job.artifacts if one.kind is ArtifactKind.MODEL), None)
    if model is None:
        return []
    asked = {"model": found.base, "merged": model.id, "variants": BEFORE_AFTER}
    return [
        Step("Try it in the Playground", f"/?{urlencode({'model': model.id})}", is_main=True),
        Step("Compare with base", f"/compare?{urlencode(asked)}"),
        Step("See the model", f"/artifacts?{urlencode({'id': model.id})}"),
    ]
