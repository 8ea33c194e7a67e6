"""Supervised fine-tuning on the built-in reviews against the same by a plain script over TRL, each in a fresh process.

    python -m benchmarks.sft --home ~/.local/share/workbench --steps 40

LoRA r=16 on all linear layers, batches of 8 rows of at most 56 tokens, float32. The script runs with TRL's defaults
(activations computed twice, head and loss in tiles) and once without computing them twice. Losses must be the same to
five digits at each step. Processor time is that of the whole process after its imports: in the workbench's that is the
pre-flight and answers before and after too. Training alone is given in seconds of the clock, evaluations left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

WAYS = ("workbench", "script", "script without checkpointing")
SPEC: dict[str, Any] = {
    "data": "reviews",
    "data_format": "text",
    "min_chars": 40,
    "max_chars": 220,
    "max_length": 56,
    "r": 16,
    "lora_alpha": 32,
    "learning_rate": 4e-4,
    "per_device_train_batch_size": 8,
    "dtype": "float32",
}


def main() -> None:
    """Run each way in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="WORKBENCH_HOME with the built-in model")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(_measured(asked.way, asked.home.expanduser(), asked.steps)))
        return
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(asked.repeats):
        for way in WAYS:
            found[way].append(_in_process(way, asked.home, asked.steps))
            _print(way, found[way][-1])
    losses = [runs[0]["losses"] for runs in found.values()]
    worst = max(abs(a / b - 1) for other in losses[1:] for a, b in zip(losses[0], other, strict=True))
    print(f"losses of {len(losses[0])} steps: the largest relative difference is {worst:.1e}")


def _print(way: str, one: dict[str, Any]) -> None:
    print(
        f"{way:30} {one['cpu_s']:7.1f} s of processor time, {one['train_s']:7.1f} s of training, "
        f"{one['steps'] / one['train_s']:.3f} steps/s, loss {one['losses'][0]:.4f} → {one['losses'][-1]:.4f}",
        flush=True,
    )


def _in_process(way: str, home: Path, steps: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.sft", "--home", str(home), "--steps", str(steps), "--way", way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _measured(way: str, home: Path, steps: int) -> dict[str, Any]:
    from core.libraries import prepare_libraries

    prepare_libraries()
    with TemporaryDirectory() as folder:
        run = _workbench if way == "workbench" else _script
        return run(home, Path(folder), steps, way)


def _workbench(home: Path, folder: Path, steps: int, _way: str) -> dict[str, Any]:
    from core.jobs.sft import SftResult, SftSpec
    from core.llm.training import run as running

    alone = _Alone(home, folder)
    fields = SPEC | {
        "max_steps": steps,
        "eval_share": 0.05,
        "max_eval_rows": 0,
        "save_steps": 100_000,
        "prompts": ["A"],
    }
    spec = SftSpec.model_validate_json(json.dumps(fields))
    begun = time.process_time()
    result = running.Tuning(spec, alone, SftResult).run()
    return {
        "cpu_s": time.process_time() - begun,
        "train_s": result.seconds,
        "steps": steps,
        "losses": [one.values["loss"] for one in alone.metrics if one.sort == "train"],
    }


def _script(home: Path, folder: Path, steps: int, way: str) -> dict[str, Any]:
    import torch
    from datasets import Dataset  # type: ignore[import-untyped]
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from core.catalog import BUILTIN_NAME, resolve
    from core.data.read import read_data
    from core.jobs.sft import SftSpec

    begun = time.process_time()
    rows = read_data(SftSpec.model_validate_json(json.dumps(SPEC)), home, lambda _: None).train
    base = resolve(BUILTIN_NAME, home, None).folder
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        args=SFTConfig(
            output_dir=str(folder), max_steps=steps, per_device_train_batch_size=8, max_length=56, learning_rate=4e-4,
            bf16=False, gradient_checkpointing=way == "script", logging_steps=1, save_strategy="no", report_to="none",
            use_cpu=True, disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([{"text": row.fields["text"]} for row in rows]),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    started = time.monotonic()
    trainer.train()
    return {
        "cpu_s": time.process_time() - begun,
        "train_s": time.monotonic() - started,
        "steps": steps,
        "losses": [one["loss"] for one in trainer.state.log_history if "loss" in one],
    }


class _Alone:
    """The context of a job that nobody watches."""

    job_id, attempt, trusted_code = "benchmark", 1, ""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self._folder = home, folder
        self.metrics: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        """Whatever else it is told, it forgets."""
        return lambda *_args, **_kwargs: None

    def metric(self, metric: Any) -> None:
        """Kept for the comparison of losses."""
        self.metrics.append(metric)

    def scratch(self) -> Path:
        """A folder that goes."""
        return self._folder

    def artifact(self, kind: str, name: str) -> Any:
        """A folder that goes."""
        folder = self._folder / f"{kind}-{name}"
        folder.mkdir()
        return nullcontext(folder)

    def machine(self) -> Any:
        """This machine, all of it."""
        from core.cards import read_card
        from core.jobs.kind import Machine
        from core.llm.abilities import abilities

        card = read_card()
        return Machine(abilities("cpu"), card.memory_kind, int(card.total_bytes), self.home)


if __name__ == "__main__":
    main()
