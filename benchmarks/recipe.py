"""The whole recipe by a plain script over TRL: SFT, merge, a classifier, RLOO, judged by words. For `benchmarks.demo`.

    python -m benchmarks.recipe --home ~/.local/share/workbench --rate 4e-4 --beta 0.03

The built-in model and reviews in float32, the settings of the pipeline's preset `demo`. Each stage prints its seconds
by the clock and of processor time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROMPT_WORDS, NEW_TOKENS, N_JUDGED = 4, 20, 160


def main() -> None:
    """Run all stages and print what they took and gave, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="WORKBENCH_HOME with the built-in model")
    parser.add_argument("--rate", type=float, default=4e-4, help="Learning rate of RLOO")
    parser.add_argument("--beta", type=float, default=0.03, help="What KL costs")
    parser.add_argument("--steps", type=int, default=40, help="Of RLOO")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        print(json.dumps(_Recipe(asked.home.expanduser(), Path(folder)).run(asked.rate, asked.beta, asked.steps)))


class _Recipe:
    def __init__(self, home: Path, folder: Path) -> None:
        from core.libraries import prepare_libraries

        prepare_libraries()
        from transformers import AutoTokenizer

        from core.catalog import BUILTIN_NAME, resolve

        self._home, self._folder = home, folder
        self._base = resolve(BUILTIN_NAME, home, None).folder
        self._tokenizer = AutoTokenizer.from_pretrained(self._base)
        self.seconds: dict[str, list[float]] = {}

    def run(self, rate: float, beta: float, steps: int) -> dict[str, Any]:
        """Each stage in turn."""
        with self._stage("sft and merge"):
            model = self._sft()
        with self._stage("classifier"):
            classifier = self._classifier()
        with self._stage("rloo"):
            trainer, logged = self._rloo(model, classifier, rate, beta, steps)
        with self._stage("judged"):
            found = self._judged(trainer)
        return {"seconds": self.seconds, "logged": logged, **found}

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        begun, cpu = time.monotonic(), time.process_time()
        yield
        self.seconds[name] = [round(time.monotonic() - begun, 1), round(time.process_time() - cpu, 1)]

    def _rows(self, data: str, **further: Any) -> Any:
        from core.data.read import read_data
        from core.data.spec import DataFields

        return read_data(DataFields(data=data, **further), self._home, lambda _: None)

    def _load(self, auto: Any, **further: Any) -> Any:
        import torch

        return auto.from_pretrained(self._base, dtype=torch.float32, **further)

    def _lora(self, r: int, task: str) -> Any:
        from peft import LoraConfig

        return LoraConfig(r=r, lora_alpha=2 * r, target_modules="all-linear", task_type=task)

    def _usual(self, name: str, **further: Any) -> dict[str, Any]:
        return {
            "output_dir": str(self._folder / name), "bf16": False, "gradient_checkpointing": False, "logging_steps": 1,
            "save_strategy": "no", "report_to": "none", "use_cpu": True, "disable_tqdm": True, **further,
        }  # fmt: skip

    def _sft(self) -> Any:
        from datasets import Dataset  # type: ignore[import-untyped]
        from transformers import AutoModelForCausalLM
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import SFTTrainer

        rows = self._rows("reviews", min_chars=40, max_chars=220).train
        usual = self._usual("sft", max_steps=60, per_device_train_batch_size=8, max_length=56, learning_rate=4e-4)
        trainer = SFTTrainer(
            model=self._load(AutoModelForCausalLM),
            args=SFTConfig(**usual),
            train_dataset=Dataset.from_list([{"text": row.fields["text"]} for row in rows]),
            processing_class=self._tokenizer,
            peft_config=self._lora(16, "CAUSAL_LM"),
        )
        trainer.train()
        merged: Any = trainer.model
        return merged.merge_and_unload()

    def _classifier(self) -> Any:
        from datasets import Dataset
        from peft import get_peft_model
        from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding, Trainer, TrainingArguments

        rows = self._rows("reviews-labelled", min_chars=40, max_chars=220, eval_share=0.5).train
        model = self._load(AutoModelForSequenceClassification, num_labels=2)
        model.config.pad_token_id = self._tokenizer.pad_token_id
        encoded = [
            {
                **self._tokenizer(row.fields["text"], truncation=True, max_length=64),
                "labels": int(row.fields["label"] == "positive"),
            }
            for row in rows
        ]
        usual = self._usual("classifier", max_steps=90, per_device_train_batch_size=16, learning_rate=5e-4)
        trainer = Trainer(
            model=get_peft_model(model, self._lora(8, "SEQ_CLS")),
            args=TrainingArguments(**usual),
            train_dataset=Dataset.from_list(encoded),
            data_collator=DataCollatorWithPadding(self._tokenizer),
        )
        trainer.train()
        trained: Any = trainer.model
        return trained.eval()

    def _rloo(self, model: Any, classifier: Any, rate: float, beta: float, steps: int) -> tuple[Any, Any]:
        import torch
        from datasets import Dataset
        from trl.trainer.rloo_config import RLOOConfig
        from trl.trainer.rloo_trainer import RLOOTrainer

        rows = self._rows("reviews", min_chars=40, max_chars=220)
        begins = dict.fromkeys(" ".join(row.fields["text"].split()[:PROMPT_WORDS]) for row in rows.train)

        def positive(prompts: list[str], completions: list[str], **_: Any) -> list[float | None]:
            texts = [prompt + text for prompt, text in zip(prompts, completions, strict=True)]
            batch = self._tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
            with torch.inference_mode():
                logits = classifier(**batch).logits
            scores: list[float | None] = (logits[:, 1] - logits[:, 0]).tolist()
            return scores

        usual = self._usual("rloo", max_steps=steps, per_device_train_batch_size=32, learning_rate=rate, beta=beta)
        trainer = RLOOTrainer(
            model=model,
            args=RLOOConfig(**usual, num_generations=4, max_completion_length=NEW_TOKENS),
            reward_funcs=[positive],
            train_dataset=Dataset.from_dict({"prompt": list(begins)}),
            processing_class=self._tokenizer,
            peft_config=self._lora(16, "CAUSAL_LM"),
        )
        trainer.train()
        kept = ("loss", "reward", "kl", "entropy")
        logged = [{name: one[name] for name in kept} for one in trainer.state.log_history if "loss" in one]
        return trainer, logged

    def _judged(self, trainer: Any) -> dict[str, Any]:
        from core.llm.judge import judge_of
        from core.llm.training.completions import complete

        rows = self._rows("reviews", min_chars=40, max_chars=220)
        judge = judge_of(self._rows("reviews-labelled", min_chars=40, max_chars=220, eval_share=0.5).evaluation, 42)
        begins = dict.fromkeys(" ".join(row.fields["text"].split()[:PROMPT_WORDS]) for row in rows.evaluation)
        prompts = list(begins)[:N_JUDGED]

        def share() -> float:
            made = complete(
                trainer.model, self._tokenizer, prompts, max_new_tokens=NEW_TOKENS, temperature=1.0, top_p=1.0, seed=42,
                at_once=32,
            )  # fmt: skip
            texts = [prompt + one.text for prompt, one in zip(prompts, made, strict=True)]
            return float(judge.share(texts).value)

        with trainer.model.disable_adapter():
            before = share()
        return {"positive before": before, "positive after": share(), "n": len(prompts)}


if __name__ == "__main__":
    main()
