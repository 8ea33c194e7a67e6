"""One attempt at a training: read, load, try, train, keep. What earlier attempts saved is gone on from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.trainer_callback import PrinterCallback

from core.catalog import resolve
from core.errors import OutOfMemory, WorkbenchError
from core.hub.trouble import Stopped
from core.llm.measure import PeakMeter
from core.llm.memory_error import as_workbench_error
from core.llm.merging_files import licence
from core.llm.training.answers import answer, judge
from core.llm.training.base import made_ready, name_base, peft_config
from core.llm.training.checkpoints import Checkpoints
from core.llm.training.ground import Ground, facts_of, lay_ground
from core.llm.training.preflight import try_longest
from core.llm.training.record import Record
from core.llm.training.settings import CHECKPOINTS, EVALUATIONS, sft_config, steps_between, total_steps
from core.llm.training.trainer import Tuner
from core.llm.training.watch import Watch
from core.llm.training.way_out import way_out
from core.training.card import write_card
from core.training.checkpoints import step_of
from core.training.headline import headline
from core.training.lineage import write_lineage
from core.training.values import Preflight
from core.values import ArtifactKind, Measurement

if TYPE_CHECKING:
    from core.jobs.kind import Context
    from core.jobs.sft import SftResult, SftSpec


class Tuning:
    """A training job's attempt."""

    def __init__(self, spec: SftSpec, context: Context, result: type[SftResult]) -> None:
        self._spec, self._context = spec, context
        kept = context.restored()
        self._record = Record(spec, context, result.model_validate(kept) if kept else result())
        self._checkpoints = Checkpoints(context, spec)
        self._record.checkpoint_bytes = self._checkpoints.n_bytes
        self._meter = PeakMeter()
        self._idle_bytes = self._meter.now_bytes()  # of libraries, which no estimate counts
        self._ground: Ground | None = None

    def run(self) -> SftResult:
        """All of it; stopped, what there is by then, with a checkpoint to go on from.

        Raises:
            WorkbenchError: it cannot be done, or not go on. The worker keeps the last checkpoint, as after a cancel.
        """
        try:
            with self._meter.watch() as peak:
                ground = self._ground = lay_ground(self._spec, self._context, self._record.say)
                tuner = self._tuner(ground)
                self._train(ground, tuner)
            self._measure(tuner, ground, peak.peak_bytes - self._idle_bytes)
            return self._ended(ground, tuner)
        except Stopped:
            return self._record.now
        except (WorkbenchError, RuntimeError, MemoryError) as error:
            raise self._explained(error) from error

    def _tuner(self, ground: Ground) -> Tuner:
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
        if ground.plan.mixed == "fp16":  # TRL makes those of packed bases bfloat16, whose gradients cannot be scaled
            for one in tuner.model.parameters():
                one.data = one.data.float() if one.requires_grad else one.data
        total = total_steps(spec, len(tuner.train_dataset))
        every = spec.logging_steps
        tuner.args.eval_steps = steps_between(spec.eval_steps, total, EVALUATIONS, every)
        tuner.args.save_steps = steps_between(spec.save_steps, total, CHECKPOINTS, every)
        tuner.before_saving = self._context.flush
        tuner.remove_callback(PrinterCallback)
        tuner.add_callback(Watch(self._record, tuner.clock))
        given = spec.max_new_tokens, ground.most_prompt_tokens
        self._record.ask = lambda step: answer(
            tuner.model, loaded.tokenizer, ground.prompts, *given, step=step, seed=spec.seed
        )
        self._record.keep(total_steps=total, **facts_of(ground, tuner, spec))
        return tuner

    def _train(self, ground: Ground, tuner: Tuner) -> None:
        record, checkpoint = self._record, self._checkpoints.own()
        if not checkpoint:
            checkpoint = self._checkpoints.anothers(ground.data.fingerprint, record.now.total_steps)
            tuner.is_anothers = checkpoint is not None
        if checkpoint:
            tuner.clock.restore(checkpoint)
            record.go_on(step_of(checkpoint), self._checkpoints.logged(checkpoint))
        else:
            record.begin()
            self._preflight(ground, tuner)
            tuner.args.eval_on_start = bool(ground.held_out.rows)
        if checkpoint and (record.has_stopped_early or step_of(checkpoint) >= record.now.total_steps):
            tuner.restore(checkpoint)  # the trainer would make one step more
        elif not self._context.should_stop():
            if not checkpoint and not ground.held_out.rows:
                record.answered(0)
            tuner.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def _preflight(self, ground: Ground, tuner: Tuner) -> None:
        self._record.say("trying the longest rows")

        def peak_of(work: Any) -> int:
            with self._meter.watch() as peak:
                work()
            return peak.peak_bytes - self._idle_bytes

        step_s, rate, peak = try_longest(tuner, peak_of)
        tried = Preflight(
            step_s=step_s,
            peak_bytes=peak,
            predicted_bytes=ground.plan.predicted_bytes,
            tokens_per_s=rate,
            expected_s=step_s * self._record.now.total_steps,
        )
        self._record.keep(preflight=tried)

    def _measure(self, tuner: Tuner, ground: Ground, peak: int) -> None:
        clock, predicted = tuner.clock, ground.plan.predicted_bytes
        rate = clock.tokens / clock.seconds if clock.seconds else 0.0
        self._record.keep(seconds=clock.seconds, tokens=clock.tokens, tokens_per_s=rate)
        tell = self._context.measurement
        tell(Measurement(name="train_s", value=clock.seconds, unit="s"))
        tell(Measurement(name="train_tokens_per_s", value=rate, unit="tokens/s"))
        tell(Measurement(name="peak_bytes", value=peak, unit="bytes", predicted=predicted or None))

    def _ended(self, ground: Ground, tuner: Tuner) -> SftResult:
        record, state = self._record, tuner.state
        facts: dict[str, Any] = {"epoch": float(state.epoch or 0.0)}
        if losses := [one["loss"] for one in state.log_history if "loss" in one]:
            facts |= {"loss_first": losses[0], "loss_last": losses[-1], "step": state.global_step}
        record.keep(**facts)
        if not record.has_stopped_early and not 0 < state.max_steps <= state.global_step:
            return record.now
        last = record.answered(record.now.step)
        record.keep(ended_share=sum(one.has_ended for one in last) / len(last) if last else None)
        record.keep(text=headline(record.now))
        self._save(ground, tuner)
        self._context.whole()
        self._judge(ground, tuner)
        return record.now

    def _judge(self, ground: Ground, tuner: Tuner) -> None:
        """Best and worst rows are worth knowing, but not the run."""
        self._record.say("looking at held-out rows")
        rows, n_rows = ground.held_out.rows, self._spec.per_device_train_batch_size
        try:
            self._record.keep(judged=judge(tuner.model, ground.loaded.tokenizer, rows, n_rows, self._spec.seed))
        except (RuntimeError, MemoryError) as error:
            why = as_workbench_error(error)
            if not isinstance(why, OutOfMemory):
                raise
            note = f"Held-out rows were not told apart: {why.message}"
            self._record.keep(notes=(*self._record.now.notes, note))

    def _save(self, ground: Ground, tuner: Tuner) -> None:
        kind = ArtifactKind.MODEL if self._spec.method == "full" else ArtifactKind.ADAPTER
        with self._context.artifact(kind, str(kind)) as folder:
            tuner.save_model(str(folder))
            name_base(folder, self._spec.model, self._spec.revision)
            ground.loaded.tokenizer.save_pretrained(folder)
            Path(folder, "training_args.bin").unlink(missing_ok=True)  # a pickle, of no use to anybody
            write_card(folder, self._spec.model, licence(ground.loaded.source), self._context.job_id, self._record.now)
            write_lineage(folder, self._context.job_id, "sft", self._spec.model_dump(mode="json"), **self._lineage())
        self._context.models_changed()

    def _lineage(self) -> dict[str, Any]:
        now = self._record.now
        data = now.data.model_dump(mode="json") if now.data else None
        known = {"licence": licence(self._ground.loaded.source)} if self._ground else {}
        return known | {"base": self._spec.model, "base_dtype": now.base_dtype, "step": now.step, "data": data}

    def _explained(self, error: Exception) -> Exception:
        known, ground = as_workbench_error(error), self._ground
        if not isinstance(known, OutOfMemory) or ground is None:
            return known
        longest = max((len(one.input_ids) for one in ground.train.rows), default=self._spec.max_length)
        return OutOfMemory(known.message, way_out(self._spec, ground.model, ground.loaded.precision, longest))
