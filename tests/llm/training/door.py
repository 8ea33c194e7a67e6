"""A context that keeps in memory what a training tells, over tiny models and rows that a test writes."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.abilities import Abilities
from core.ids import new_id
from core.jobs.kind import Machine, Result
from core.jobs.sft import SftResult, SftSpec
from core.llm.abilities import abilities
from core.llm.training.run import Tuning
from core.training.checkpoints import checkpoints_of, newest_checkpoint
from core.training.lineage import write_lineage
from core.values import ArtifactKind, Measurement, Metric, Progress
from tests.llm.tiny import N_TOKENS, tiny_model, word_tokenizer

WIDE = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 16}
QUICK: dict[str, Any] = {
    "max_steps": 6,
    "per_device_train_batch_size": 2,
    "max_length": 24,
    "r": 4,
    "lora_alpha": 8,
    "learning_rate": 0.01,
    "eval_share": 0.2,
    "eval_steps": 3,
    "save_steps": 2,
    "max_new_tokens": 2,
    "prompts": ["w5 w6"],
}


class Door:
    """What a training sees of the world."""

    def __init__(self, home: Path, attempt: int = 1, kept: dict[str, Any] | None = None) -> None:
        self.job_id, self.attempt, self.home, self.trusted_code = "JOB", attempt, home, ""
        self.kept = kept
        self.metrics: dict[tuple[str, int], Metric] = {}
        self.measured: dict[str, Measurement] = {}
        self.said: list[Progress] = []
        self.artifacts: dict[ArtifactKind, Path] = {}
        self.stops: Callable[[Door], bool] = lambda _: False
        self.is_whole = False
        self.events: list[tuple[str, dict[str, Any]]] = []

    def should_stop(self) -> bool:
        return self.stops(self)

    def whole(self) -> None:
        self.is_whole = True

    def on_stop(self, callback: Callable[[], None]) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        self.said.append(progress)

    def metric(self, metric: Metric) -> None:
        self.metrics[metric.sort, metric.step] = metric

    def flush(self) -> None:
        pass

    def event(self, kind: str, **data: Any) -> None:
        self.events.append((kind, data))

    def rewind(self, step: int) -> None:
        self.metrics = {key: one for key, one in self.metrics.items() if key[1] <= step}

    def measurement(self, measurement: Measurement) -> None:
        self.measured[measurement.name] = measurement

    def keep(self, result: Result) -> None:
        self.kept = result.model_dump(mode="json")

    def restored(self) -> dict[str, Any] | None:
        return self.kept if self.attempt > 1 else None

    def scratch(self) -> Path:
        folder = self.home / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def machine(self) -> Machine:
        can: Abilities = abilities("cpu")
        return Machine(can, "host", 8_000_000_000, self.home)

    @contextmanager
    def artifact(self, kind: ArtifactKind, name: str) -> Iterator[Path]:
        folder = self.home / "artifacts" / new_id()
        folder.mkdir(parents=True)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder)
            raise
        self.artifacts[kind] = folder

    def open(self, artifact_id: str) -> Path:
        return self.home / "artifacts" / artifact_id

    def models_changed(self) -> None:
        pass

    def losses(self, sort: str = "train", name: str = "loss") -> list[float]:
        """What was logged at each step."""
        return [one.values[name] for (which, _), one in sorted(self.metrics.items()) if which == sort]


def left_behind(door: Door, **spec: Any) -> Path:
    """The newest checkpoint of a run that was stopped, as the worker makes it an artifact."""
    newest = newest_checkpoint(checkpoints_of(door.scratch()))
    assert newest
    whole = SftSpec.model_validate_json(json.dumps(spec)).model_dump(mode="json")
    write_lineage(newest, door.job_id, "sft", whole, data=(door.kept or {})["data"])
    target = door.open(new_id())
    target.parent.mkdir(exist_ok=True)
    newest.rename(target)
    shutil.rmtree(door.scratch())
    return target


def make_model(folder: Path, **changes: Any) -> str:
    """A tiny Llama whose token w1 ends a text."""
    model = tiny_model("llama", **WIDE, **changes)
    model.generation_config.eos_token_id = 1
    model.save_pretrained(folder)
    tokenizer = word_tokenizer()
    tokenizer.eos_token, tokenizer.pad_token = "w1", "w0"
    tokenizer.save_pretrained(folder)
    return str(folder)


def write_rows(path: Path, n_rows: int = 40) -> str:
    """Rows of 6 to 20 words."""
    numbers = random.Random(0)
    rows = [
        {"text": " ".join(f"w{numbers.randrange(2, N_TOKENS)}" for _ in range(numbers.randrange(6, 21)))}
        for _ in range(n_rows)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def trained(door: Door, model: str, data: str, **fields: Any) -> SftResult:
    """Train as a job does."""
    spec = SftSpec.model_validate_json(json.dumps(QUICK | {"model": model, "data": data} | fields))
    return Tuning(spec, door, SftResult).run()  # type: ignore[arg-type]  # a Door has all that a training uses
