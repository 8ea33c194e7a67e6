"""The training of a reward: labels or preferences, kept merged, and proven by loading it again from its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.trainer_callback import PrinterCallback

from core.abilities import Choice
from core.catalog import ModelSource
from core.errors import ModelError
from core.llm.classifier import load_classifier, nearly_of, pad_id_of, prove_classifier, score_rows
from core.llm.merging_files import licence
from core.llm.resident import release_memory
from core.llm.training.course import Course
from core.llm.training.preflight import preflight
from core.llm.training.reward_figures import Figures, of_labels, of_pairs, prepare_figures
from core.llm.training.reward_ground import RewardGround, lay_reward_ground, reward_facts
from core.llm.training.reward_setup import merged, reward_trainer
from core.llm.training.reward_trainers import Scored
from core.llm.training.reward_watch import RewardWatch
from core.llm.training.settings import CHECKPOINTS, EVALUATIONS, steps_between, total_steps
from core.training.lineage import write_lineage
from core.training.reward_card import write_reward_card
from core.training.reward_headline import reward_headline
from core.training.reward_values import Proof
from core.values import ArtifactKind

if TYPE_CHECKING:
    from core.jobs.kind import Context
    from core.jobs.reward import RewardResult, RewardSpec

MOST_PROVEN = 100  # rows that are scored once more from the files


class Rewarding(Course[RewardGround, Scored, "RewardResult"]):
    """An attempt at a `reward` job."""

    kind = "reward"

    def __init__(self, spec: RewardSpec, context: Context, result: type[RewardResult]) -> None:
        prepare_figures()
        super().__init__(spec, context, result)
        self._spec = spec

    def _lay_ground(self) -> RewardGround:
        return lay_reward_ground(self._spec, self._context, self._record.say)

    def _trainer(self, ground: RewardGround) -> Scored:
        spec = self._spec
        trainer = reward_trainer(spec, ground, self._checkpoints.folder)
        total = total_steps(spec, len(ground.train))
        trainer.args.eval_steps = steps_between(spec.eval_steps, total, EVALUATIONS, spec.logging_steps)
        trainer.args.save_steps = steps_between(spec.save_steps, total, CHECKPOINTS, spec.logging_steps)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(RewardWatch(self._record, trainer.clock))
        self._record.keep(total_steps=total, **reward_facts(ground, trainer.model, spec))
        return trainer

    def _begin(self, ground: RewardGround, trainer: Scored) -> None:
        self._record.say("trying the longest rows")
        n_steps, predicted = self._record.now.total_steps, ground.plan.predicted_bytes
        self._record.keep(preflight=preflight(trainer, self._meter, self._idle_bytes, predicted, n_steps))
        trainer.args.eval_on_start = trainer.eval_dataset is not None

    def _finish(self, ground: RewardGround, trainer: Scored) -> None:
        """Judge what was learned, keep it merged, and load it again."""
        record = self._record
        record.say("scoring held-out rows")
        scores = score_rows(trainer.model, ground.held_out.rows, pad_id_of(ground.loaded))
        if ground.held_out:
            found = _figures(ground, scores)
            record.keep(accuracy=found.accuracy, auc=found.auc, margin=found.margin)
        rows, known = ground.held_out.rows[:MOST_PROVEN], scores[:MOST_PROVEN]
        if not rows:
            rows = ground.train.rows[:MOST_PROVEN]
            known = score_rows(trainer.model, rows, pad_id_of(ground.loaded))
        with self._context.artifact(ArtifactKind.REWARD, str(ArtifactKind.REWARD)) as folder:
            self._write(ground, trainer, folder)
            record.say("loading the reward again")
            proof = self._prove(ground, folder, rows, known)
            record.keep(proof=proof, is_proven=not proof.why_not)
            if proof.why_not:
                record.keep(notes=(*record.now.notes, f"It is not proven: {proof.why_not}"))
            record.keep(text=reward_headline(record.now))
            self._describe(ground, folder)
        self._context.models_changed()

    def _write(self, ground: RewardGround, trainer: Scored, folder: Path) -> None:
        """The whole model, and its own tokenizer, which cuts and fills up as it was trained."""
        whole = merged(trainer.model, getattr(torch, str(ground.loaded.precision)))
        whole.config.use_cache = True
        whole.save_pretrained(folder)
        ground.loaded.tokenizer.save_pretrained(folder)
        whole.to("meta")  # what is loaded again needs the room
        release_memory()

    def _prove(self, ground: RewardGround, folder: Path, rows: Any, known: Tensor) -> Proof:
        source = ModelSource("The reward", folder, None)
        precision = ground.loaded.precision
        choice = Choice(precision, ground.loaded.attention, str(precision), 0.0, may_fall_back=True)
        try:
            again = load_classifier(source, choice, ground.loaded.device)
            again = replace(again, ends_texts=ground.ends_texts)
            scores = again.score_ids(rows)
            difference = float((scores - known).abs().max())
            tolerance = nearly_of(again) * max(1.0, float(known.abs().max()))
            why_not = "" if difference <= tolerance else "loaded again from its files it gives other scores."
            prove_classifier(again, _texts(ground))
        except ModelError as error:
            difference, tolerance, why_not = 0.0, 0.0, error.message
        return Proof(n_rows=len(rows), largest_difference=difference, tolerance=tolerance, why_not=why_not)

    def _describe(self, ground: RewardGround, folder: Path) -> None:
        now, its_licence = self._record.now, licence(ground.loaded.source)
        write_reward_card(folder, self._spec.model, its_licence, self._context.job_id, now)
        facts = {
            "licence": its_licence,
            "base": self._spec.model,
            "base_dtype": now.base_dtype,
            "step": now.step,
            "data": now.data.model_dump(mode="json") if now.data else None,
            "task": ground.task,
            "labels": list(ground.headed.labels),
            "ends_texts": ground.ends_texts,
            "is_proven": now.is_proven,
        }
        write_lineage(folder, self._context.job_id, self.kind, self._spec.model_dump(mode="json"), **facts)


def _figures(ground: RewardGround, scores: Tensor) -> Figures:
    numbers = ground.held_out.labels
    return of_labels(scores, numbers) if numbers is not None else of_pairs(scores[:, 0])


def _texts(ground: RewardGround) -> list[str]:
    """A few texts of its own data, which it may know better than ours."""
    rows = (ground.data.evaluation or ground.data.train)[:4]
    return [text for row in rows for text in row.fields.values() if isinstance(text, str)]
