"""A comparison on a terminal: what follows from it in words, its table, which variant to take, and news of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from core.cli_format import clean, table
from core.comparison.columns import COLUMNS, Figure, best_of, row_of, sentence_of, without_quality
from core.comparison.sentences import headlines
from core.comparison.values import Comparison, VariantResult, VariantState
from core.diff import comparison_of
from core.format import significant, written

if TYPE_CHECKING:
    from core.values import Job

TITLES = {  # of COLUMNS, what a terminal has room for
    "weights_bytes": "WEIGHTS",
    "peak_bytes": "PEAK",
    "load_s": "LOAD",
    "time_to_first_token_s": "FIRST TOKEN",
    "tokens_per_s": "SPEED",
    "perplexity": "PERPLEXITY",
    "kl_mean": "KL",
    "top1_agreement": "SAME TOKEN",
}
SPREAD, INTERVAL = ("time_to_first_token_s", "tokens_per_s"), ("perplexity",)
ENDED = {
    VariantState.FAILED: "failed",
    VariantState.SKIPPED: "left out",
    VariantState.CANCELLED: "not measured, the job was stopped",
}
BEST = " ▴"


class ComparisonPrinter:
    """See `core.cli_printers.Printer`."""

    def result(self, job: Job, indent: int = 0) -> str | None:
        """Headlines, the table and the recommendation, as far as there are any."""
        if not job.result:
            return ""
        found = comparison_of(job)
        return None if found is None else "\n\n".join(filter(None, _parts(found, job.state.is_finished, indent)))

    def news(self, before: Job | None, now: Job) -> Iterator[str]:
        """One line for each variant that has been measured, or will not be."""
        then, found = (comparison_of(job) if job else None for job in (before, now))
        ended = {one.name for one in then.variants if one.state.is_finished} if then else set()
        for one in found.variants if found else ():
            if one.state.is_finished and one.name not in ended:
                yield clean(f"{one.name}: {_news(one)}")


def _parts(found: Comparison, is_finished: bool, indent: int) -> Iterator[str]:
    if is_finished:
        yield "\n".join(clean(line) for line in headlines(found))
    if found.variants:
        columns = [column for column in COLUMNS if column.name in TITLES]
        best = [best_of(column, found) for column in columns]
        rows = [
            (_name(one, found), *_cells(one, found, best)) for one in found.variants
        ]  # fmt: skip
        yield table(("VARIANT", *TITLES.values()), rows, set(TITLES.values()), indent)
        if any(best):
            yield f"{BEST.strip()} best of its column, beyond its interval"
    yield "\n".join(_lacking(found))
    if found.recommendation and is_finished:
        yield clean(f"{found.recommendation.sentence}\n{found.recommendation.rule}")


def _cells(one: VariantResult, found: Comparison, best: Sequence[frozenset[str]]) -> Iterator[str]:
    columns = [column for column in COLUMNS if column.name in TITLES]
    figures = row_of(one, found, columns)
    for column, figure, names in zip(columns, figures, best, strict=True):
        yield _cell(column.name, figure) + (BEST if one.name in names else "")


def _cell(name: str, figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if figure.is_predicted:
        return f"({figure.text} predicted)"
    if name in INTERVAL and figure.note:
        return f"{figure.text} ({figure.note})"
    return f"{figure.text} {figure.note}" if name in SPREAD and figure.note else figure.text


def _name(one: VariantResult, found: Comparison) -> str:
    if one.state is not VariantState.SUCCEEDED:
        return f"{one.name} ({ENDED.get(one.state, one.state).partition(',')[0]})"
    return f"{one.name} (reference)" if one.name == found.reference else one.name


def _lacking(found: Comparison) -> Iterator[str]:
    """What was measured only in part, and why."""
    for one in found.variants:
        if one.state is VariantState.SUCCEEDED and (said := sentence_of(one)):
            yield clean(f"{one.name}: {said}")
    for reason, names in without_quality(found).items():
        yield clean(f"{', '.join(names)}: quality was not measured. {reason}")
    for note in found.notes:
        yield clean(note)


def _news(one: VariantResult) -> str:
    if one.state is not VariantState.SUCCEEDED:
        return f"{ENDED[one.state]}. {sentence_of(one)}".rstrip(". ") + "."
    weights, peak = one.weights_bytes.measured, one.peak_bytes.measured
    facts = [
        f"{written(weights, 'bytes')} of weights" if weights is not None else "",
        f"{written(peak, 'bytes')} at its peak" if peak is not None else "",
        f"perplexity {significant(one.perplexity.value, 4)}" if one.perplexity else "",
        f"measured in {written(one.seconds, 's')}" if one.seconds else "",
    ]
    return ", ".join(filter(None, facts)) or "measured"
