"""Rewards on a terminal: how many held-out rows one tells right, and whether it is proven."""

from __future__ import annotations

from collections.abc import Iterator

from core.cli_format import table
from core.cli_train import ResultPrinter
from core.format import percent, significant, small, written
from core.training.reward_headline import reward_headline
from core.training.reward_values import RewardReport


def _lines(found: RewardReport, indent: int) -> Iterator[str]:
    yield found.text or reward_headline(found)
    if data := found.data:
        yield f"{data.name}: {data.n_train:,} rows learned, {data.n_eval:,} held out (sha256 {data.fingerprint[:12]})"
    yield f"{found.base} in {found.base_dtype}, trained in {found.trained_dtype}" if found.base_dtype else found.base
    if found.preflight:
        predicted = found.preflight.predicted_bytes
        said = f", predicted {written(predicted, 'bytes')}" if predicted else ""
        yield f"pre-flight: {written(found.preflight.peak_bytes, 'bytes')} at its peak{said}"
    if found.labels:
        total = sum(one.n_train for one in found.labels) or 1
        rows = [
            (one.label, f"{one.n_train:,}", percent(one.n_train / total), f"{one.n_eval:,}") for one in found.labels
        ]
        heads = ("LABEL", "ROWS LEARNED", "SHARE", "HELD OUT")
        yield table(heads, rows, heads[1:], indent)
    if proof := found.proof:
        verdict = "proven" if found.is_proven else f"NOT proven: {proof.why_not}"
        yield (
            f"{verdict}: loaded again, scores of {proof.n_rows:,} rows differ by at most "
            f"{small(proof.largest_difference)} ({small(proof.tolerance)} would do)"
        )
    yield from found.notes


def _evaluated(before: RewardReport | None, now: RewardReport) -> Iterator[str]:
    if now.eval_loss is not None and (before is None or before.eval_loss != now.eval_loss):
        yield f"step {now.step:,}: held-out loss {significant(now.eval_loss, 4)}"


REWARD = ResultPrinter(RewardReport, _lines, _evaluated)
