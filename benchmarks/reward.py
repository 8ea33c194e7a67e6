"""A classifier of the built-in reviews against the same by a plain script over transformers, each in a fresh process.

    python -m benchmarks.reward --home ~/.local/share/workbench --steps 90

The recipe: the built-in model with a head of two labels, LoRA r=8 on all linear layers, steps of 16 rows of 40 to 220
characters, learning rate 5e-4, float32; 400 held-out rows. Losses must be the same to five digits at each step.
Seconds are of the whole: loading, tokens, training, held-out rows; in the workbench's also the pre-flight, evaluations
meanwhile unless `--eval-rows 0`, and loading the reward again from its files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.sft import _Alone

WAYS = ("workbench", "script")
SPEC: dict[str, Any] = {
    "data": "reviews-labelled",
    "min_chars": 40,
    "max_chars": 220,
    "max_length": 64,
    "r": 8,
    "lora_alpha": 16,
    "learning_rate": 5e-4,
    "per_device_train_batch_size": 16,
    "dtype": "float32",
    "eval_share": 0.05,
}
N_HELD_OUT = 400


def main() -> None:
    """Run each way in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="WORKBENCH_HOME with the built-in model")
    parser.add_argument("--steps", type=int, default=90)
    parser.add_argument("--eval-rows", type=int, default=0, help="Rows of each evaluation meanwhile")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(_measured(asked.way, asked.home.expanduser(), asked.steps, asked.eval_rows)))
        return
    found = {}
    for way in WAYS:
        found[way] = _in_process(way, asked)
        one = found[way]
        print(
            f"{way:10} {one['wall_s']:6.1f} s ({one['cpu_s']:.1f} s of processor time), {one['train_s']:.1f} s of "
            f"training; accuracy {one['accuracy']:.3f}, AUC {one['auc']:.3f}, loss {one['losses'][0]:.4f} → "
            f"{one['losses'][-1]:.4f}; {one.get('more', '')}",
            flush=True,
        )
    pairs = zip(found["workbench"]["losses"], found["script"]["losses"], strict=True)
    worst = max(abs(a / b - 1) for a, b in pairs)
    print(f"losses of {len(found['script']['losses'])} steps: the largest relative difference is {worst:.1e}")


def _in_process(way: str, asked: Any) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.reward", "--home", str(asked.home), "--steps", str(asked.steps)]
    command += ["--eval-rows", str(asked.eval_rows), "--way", way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _measured(way: str, home: Path, steps: int, eval_rows: int) -> dict[str, Any]:
    from core.libraries import prepare_libraries

    prepare_libraries()
    with TemporaryDirectory() as folder:
        if way == "workbench":
            return _workbench(home, Path(folder), steps, eval_rows)
        return _script(home, Path(folder), steps)


def _workbench(home: Path, folder: Path, steps: int, eval_rows: int) -> dict[str, Any]:
    from core.jobs.reward import RewardResult, RewardSpec
    from core.llm.training import reward_ground
    from core.llm.training.rewarding import Rewarding

    reward_ground.MOST_HELD_OUT = N_HELD_OUT
    alone: Any = _Alone(home, folder)
    fields = SPEC | {"max_steps": steps, "max_eval_rows": eval_rows, "save_steps": 100_000}
    spec = RewardSpec.model_validate_json(json.dumps(fields))
    begun, cpu = time.monotonic(), time.process_time()
    result = Rewarding(spec, alone, RewardResult).run()
    assert result.preflight
    assert result.proof
    assert result.accuracy
    peaks = f"peak {result.preflight.peak_bytes / 1e9:.3f} GB, predicted {result.preflight.predicted_bytes / 1e9:.3f}"
    return {
        "wall_s": time.monotonic() - begun,
        "cpu_s": time.process_time() - cpu,
        "train_s": result.seconds,
        "accuracy": result.accuracy.value,
        "auc": result.auc,
        "losses": [one.values["loss"] for one in alone.metrics if one.sort == "train"],
        "more": f"proven {result.is_proven}, {result.proof.largest_difference:.1e} apart after loading; {peaks}",
    }


def _script(home: Path, folder: Path, steps: int) -> dict[str, Any]:
    import torch
    from datasets import Dataset  # type: ignore[import-untyped]
    from peft import LoraConfig, get_peft_model
    from sklearn.metrics import accuracy_score, roc_auc_score
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from core.catalog import BUILTIN_NAME, resolve
    from core.data.read import read_data
    from core.jobs.reward import RewardSpec

    begun, cpu = time.monotonic(), time.process_time()
    data = read_data(RewardSpec.model_validate_json(json.dumps(SPEC)), home, lambda _: None)
    base = resolve(BUILTIN_NAME, home, None).folder
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    tokenizer.truncation_side, tokenizer.padding_side = "left", "right"

    def rows(some: Any) -> Dataset:
        made = [
            {
                "input_ids": tokenizer(row.fields["text"], truncation=True, max_length=64)["input_ids"],
                "labels": int(row.fields["label"] == "positive"),
            }
            for row in some
        ]
        return Dataset.from_list(made)

    set_seed(42)
    model: Any = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2, dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id
    set_seed(42)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="SEQ_CLS", modules_to_save=["score"])
    trainer = Trainer(
        model=get_peft_model(model, config),
        args=TrainingArguments(
            output_dir=str(folder), max_steps=steps, per_device_train_batch_size=16, learning_rate=5e-4,
            per_device_eval_batch_size=16, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=rows(data.train),
        data_collator=DataCollatorWithPadding(tokenizer),
    )  # fmt: skip
    started = time.monotonic()
    trainer.train()
    train_s = time.monotonic() - started
    said: Any = trainer.predict(rows(data.evaluation[:N_HELD_OUT]))
    logits, given = said.predictions, said.label_ids
    return {
        "wall_s": time.monotonic() - begun,
        "cpu_s": time.process_time() - cpu,
        "train_s": train_s,
        "accuracy": float(accuracy_score(given, logits.argmax(-1))),
        "auc": float(roc_auc_score(given, logits[:, 1] - logits[:, 0])),
        "losses": [one["loss"] for one in trainer.state.log_history if "loss" in one],
    }


if __name__ == "__main__":
    main()
