"""The model card of what a training made."""

from __future__ import annotations

import json
from pathlib import Path

from core.training.values import TrainResult


def write_card(folder: Path, base: str, licence: str, job_id: str, now: TrainResult) -> None:
    """Put README.md into a folder: for people, and its head for the Hub and the catalogue."""
    head = {"base_model": base, "license": licence, "library_name": "transformers" if now.method == "full" else "peft"}
    lines = ["---", *(f"{name}: {json.dumps(value)}" for name, value in head.items() if value), "---", ""]
    lines += [f"# {base.rstrip('/').rpartition('/')[2]}, fine-tuned", "", now.text or "Trained by LLM Workbench.", ""]
    lines += [f"- {name}: {value}" for name, value in _facts(now, job_id) if value]
    (folder / "README.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _facts(now: TrainResult, job_id: str) -> list[tuple[str, str]]:
    data = now.data
    learned = (
        data
        and f"{data.n_train:,} rows of {data.name} ({data.licence or 'licence unknown'}), sha256 {data.fingerprint}"
    )
    return [
        ("base", f"{now.base} in {now.base_dtype}" if now.base_dtype else now.base),
        ("method", f"{now.method}, {now.n_trained:,} of {now.n_parameters:,} weights in {now.trained_dtype}"),
        ("layers", ", ".join(now.targets)),
        ("data", learned or ""),
        ("steps", f"{now.step:,}"),
        ("made by", f"job {job_id} of LLM Workbench; settings and versions are in workbench.json"),
    ]
