"""A comparison as fragments, on its own page and on a job's: the headline, the table, advice, pictures, outputs.

While the job runs the same fragments are drawn of what is known by then; a part that there is nothing for stays empty.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from core.comparison.columns import COLUMNS, without_quality
from core.comparison.sentences import headlines
from core.comparison.values import Comparison, VariantResult, VariantState
from core.diff import comparison_of
from core.format import percent, small
from core.values import Job
from web.charts import placed
from web.compare_advice import render_advice
from web.compare_charts import Picture, layer_maps, pictures
from web.compare_outputs import Said, Shown, side_by_side
from web.compare_table import rows_of
from web.templates import fragment

KIND = "compare"
PARTS = ("compare_table", "compare_advice", "compare_charts", "compare_layers", "compare_outputs", "compare_scored")
WAYS = {"greedy": "The likeliest words", "sampled": "Sampled"}


def said(job: Job) -> tuple[str, ...]:
    """The headline, and a sentence on each other variant; nothing before the job has ended."""
    found = comparison_of(job) if job.state.is_finished else None
    if found is None or not any(one.state is VariantState.SUCCEEDED for one in found.variants):
        return ()
    return headlines(found)


def render_parts(job: Job) -> dict[str, str]:
    """The fragments beside the result; empty strings for what there is nothing for."""
    found = comparison_of(job)
    if found is None:
        return dict.fromkeys(PARTS, "")
    return _rendered(found.model_dump_json(), str(job.spec.get("seed", "")), job.state.is_finished)


@lru_cache(maxsize=32)  # a live view is read each second, and most of the time nothing has changed
def _rendered(text: str, seed: str, is_finished: bool) -> dict[str, str]:
    found = Comparison.model_validate_json(text)
    return {
        "compare_table": _table(found),
        "compare_advice": render_advice(found) if is_finished else "",
        "compare_charts": _charts(pictures(found)),
        "compare_layers": _layers(found),
        "compare_outputs": _outputs(found, seed),
        "compare_scored": fragment("compare_scored", found=found, small=small, percent=percent),
    }


def _table(found: Comparison) -> str:
    return fragment(
        "compare_table", rows=rows_of(found), columns=COLUMNS, without_quality=without_quality(found), found=found
    )


def _charts(shown: list[Picture]) -> str:
    return fragment("compare_charts", drawn=[(one, placed(one.title, one.height, one.chart)) for one in shown])


def _layers(found: Comparison) -> str:
    maps = layer_maps(found)
    drawn = [(one, placed(one.picture.title, one.picture.height, one.picture.chart)) for one in maps]
    return fragment("compare_layers", drawn=drawn)


def _outputs(found: Comparison, seed: str) -> str:
    prompts = list(dict.fromkeys(each.prompt for one in found.variants for each in one.samples))
    shown = [(prompt, {way: _columns(found, prompt, way) for way in WAYS}) for prompt in prompts]
    return fragment("compare_outputs", shown=shown, ways=WAYS, seed=seed, found=found)


def _columns(found: Comparison, prompt: str, way: str) -> tuple[Shown, ...]:
    there = [one for one in found.variants if any(each.prompt == prompt for each in one.samples)]
    return side_by_side([_said(one, prompt, way) for one in there], found.reference)


def _said(one: VariantResult, prompt: str, way: str) -> Said:
    each: Any = next(each for each in one.samples if each.prompt == prompt)
    return Said(one.name, getattr(each, way), each.why_not)
