"""The model card of a reward."""

from __future__ import annotations

import json
from pathlib import Path

from core.format import percent, small
from core.training.reward_values import RewardReport


def write_reward_card(folder: Path, base: str, licence: str, job_id: str, now: RewardReport) -> None:
    """Put README.md into a folder: for people, and its head for the Hub and the catalogue."""
    head = {
        "base_model": base,
        "license": licence,
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
    }
    lines = ["---", *(f"{name}: {json.dumps(value)}" for name, value in head.items() if value), "---", ""]
    lines += [f"# {base.rstrip('/').rpartition('/')[2]}, as a reward", "", now.text or "Made by LLM Workbench.", ""]
    lines += [f"- {name}: {value}" for name, value in _facts(now, job_id) if value]
    (folder / "README.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _facts(now: RewardReport, job_id: str) -> list[tuple[str, str]]:
    data, accuracy, proof = now.data, now.accuracy, now.proof
    return [
        ("labels", ", ".join(one.label for one in now.labels)),
        ("base", f"{now.base} in {now.base_dtype}" if now.base_dtype else now.base),
        ("method", f"{now.method}, {now.n_trained:,} of {now.n_parameters:,} weights in {now.trained_dtype}, merged"),
        (
            "data",
            f"{data.n_train:,} rows of {data.name} ({data.licence or 'licence unknown'}), sha256 {data.fingerprint}"
            if data
            else "",
        ),
        (
            "held-out rows",
            f"{percent(accuracy.value)} right (95 %: {percent(accuracy.low)} to {percent(accuracy.high)}, "
            f"n = {accuracy.n:,})"
            if accuracy
            else "",
        ),
        ("AUC", f"{now.auc:.3f}" if now.auc is not None else ""),
        (
            "loaded again",
            f"scores of {proof.n_rows:,} rows differ by at most {small(proof.largest_difference)}"
            if proof and now.is_proven
            else "",
        ),
        ("steps", f"{now.step:,}"),
        ("made by", f"job {job_id} of LLM Workbench; settings and versions are in workbench.json"),
    ]
