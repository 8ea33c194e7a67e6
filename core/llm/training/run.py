"""A supervised training: rows as tokens, an adapter or all weights, perplexity of held-out rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers.trainer_callback import PrinterCallback

from core.catalog import resolve
from core.errors import OutOfMemory
from core.llm.memory_error import as_workbench_error
from core.llm.training.answers import answer, judge
from core.llm.training.base import keep_float32, made_ready, peft_config
from core.llm.training.course import Course
from core.llm.training.ground import Ground, facts_of, lay_ground
from core.llm.training.preflight import preflight
from core.llm.training.settings import CHECKPOINTS, EVALUATIONS, sft_config, steps_between, total_steps
from core.llm.training.trainer import Tuner
from core.llm.training.watch import Watch
from core.training.headline import headline
from core.values import ArtifactKind

if TYPE_CHECKING:
    from core.jobs.kind import Context
    from core.jobs.sft import SftResult, SftSpec


class Tuning(Course[Ground, Tuner, "SftResult"]):
    """An attempt at an `sft` job."""

    kind = "sft"

    def __init__(self, spec: SftSpec, context: Context, result: type[SftResult]) -> None:
        super().__init__(spec, context, result)
        self._spec = spec

    def _lay_ground(self) -> Ground:
        return lay_ground(self._spec, self._context, self._record.say)

    def _trainer(self, ground: Ground) -> Tuner:
        spec, loaded = self._spec, ground.loaded
        adapter = resolve(spec.adapter, self._context.home).folder if spec.adapter else None
        config = peft_config(spec, loaded)
        tuner = Tuner(
            model=made_ready(spec, loaded, adapter),
            args=sft_config(spec, ground.plan, self._checkpoints.folder, has_eval=bool(ground.held_out.rows)),
            train_dataset=ground.train.dataset,
            eval_dataset=ground.held_out.dataset if ground.held_out.rows else None,
            processing_class=loaded.tokenizer,
            peft_config=config,
            is_fused=ground.plan.is_fused,
        )
        keep_float32(tuner.model, ground.plan)
        total = total_steps(spec, len(tuner.train_dataset))
        every = spec.logging_steps
        tuner.args.eval_steps = steps_between(spec.eval_steps, total, EVALUATIONS, every)
        tuner.args.save_steps = steps_between(spec.save_steps, total, CHECKPOINTS, every)
        tuner.remove_callback(PrinterCallback)
        tuner.add_callback(Watch(self._record, tuner.clock))
        given = spec.max_new_tokens, ground.most_prompt_tokens
        self._record.ask = lambda step: answer(
            tuner.model, loaded.tokenizer, ground.prompts, *given, step=step, seed=spec.seed
        )
        self._record.keep(total_steps=total, **facts_of(ground, tuner, spec))
        return tuner

    def _begin(self, ground: Ground, trainer: Tuner) -> None:
        self._record.say("trying the longest rows")
        n_steps, predicted = self._record.now.total_steps, ground.plan.predicted_bytes
        self._record.keep(preflight=preflight(trainer, self._meter, self._idle_bytes, predicted, n_steps))
        trainer.args.eval_on_start = bool(ground.held_out.rows)
        if not ground.held_out.rows and not self._context.should_stop():
            self._record.answered(0)

    def _finish(self, ground: Ground, trainer: Tuner) -> None:
        record = self._record
        last = record.answered(record.now.step)
        record.keep(ended_share=sum(one.has_ended for one in last) / len(last) if last else None)
        record.keep(text=headline(record.now))
        is_full = self._spec.method == "full"
        self._keep_files(ground, trainer, ArtifactKind.MODEL if is_full else ArtifactKind.ADAPTER)

    def _look(self, ground: Ground, trainer: Tuner) -> None:
        """Best and worst rows are worth knowing, but not the run."""
        self._record.say("looking at held-out rows")
        rows, n_rows = ground.held_out.rows, self._spec.per_device_train_batch_size
        try:
            self._record.keep(judged=judge(trainer.model, ground.loaded.tokenizer, rows, n_rows, self._spec.seed))
        except (RuntimeError, MemoryError) as error:
            why = as_workbench_error(error)
            if not isinstance(why, OutOfMemory):
                raise
            note = f"Held-out rows were not told apart: {why.message}"
            self._record.keep(notes=(*self._record.now.notes, note))
