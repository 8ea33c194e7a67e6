"""One attempt at a training of any sort: prepare, train, keep. What earlier attempts saved is gone on from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from core.errors import BadInput, OutOfMemory, WorkbenchError
from core.hub.trouble import Stopped
from core.llm.measure import PeakMeter
from core.llm.memory_error import as_workbench_error
from core.llm.merging_files import licence
from core.llm.training.base import name_base
from core.llm.training.checkpoints import Checkpoints
from core.llm.training.record import Record
from core.llm.training.steady import Steady
from core.llm.training.way_out import way_out
from core.training.card import write_card
from core.training.checkpoints import step_of
from core.training.lineage import write_lineage
from core.training.values import TrainResult
from core.values import ArtifactKind, Measurement

if TYPE_CHECKING:
    from core.data.values import Data
    from core.jobs.kind import Context
    from core.llm.loading import LoadedModel
    from core.memory import Model
    from core.training.fields import TrainFields
    from core.training.plan import Plan


class Footing(Protocol):
    """What every training stands on; `longest` is the number of tokens of its longest row."""

    @property
    def data(self) -> Data: ...  # noqa: D102
    @property
    def loaded(self) -> LoadedModel: ...  # noqa: D102
    @property
    def model(self) -> Model | None: ...  # noqa: D102
    @property
    def plan(self) -> Plan: ...  # noqa: D102
    @property
    def longest(self) -> int: ...  # noqa: D102


G = TypeVar("G", bound=Footing)
T = TypeVar("T", bound=Steady)
R = TypeVar("R", bound=TrainResult)


class Course(ABC, Generic[G, T, R]):
    """A training job's attempt. A subclass says what it stands on, which trainer it takes, and what comes of it."""

    kind: str
    length = "max_length"
    """The field that bounds the tokens of a row."""

    def __init__(self, spec: TrainFields, context: Context, result: type[R]) -> None:
        self._context = context
        kept = context.restored()
        self._record: Record[R] = Record(spec, context, result.model_validate(kept) if kept else result())
        self._checkpoints = Checkpoints(context, spec)
        self._record.checkpoint_bytes = self._checkpoints.n_bytes
        self._meter = PeakMeter()
        self._idle_bytes = self._meter.now_bytes()  # of libraries, which no estimate counts
        self._ground: G | None = None
        self._fields = spec

    @abstractmethod
    def _lay_ground(self) -> G:
        """Read the data and load what is needed."""

    @abstractmethod
    def _trainer(self, ground: G) -> T:
        """The trainer, with the record told how many steps there are."""

    @abstractmethod
    def _begin(self, ground: G, trainer: T) -> None:
        """What comes before the first step of all."""

    @abstractmethod
    def _finish(self, ground: G, trainer: T) -> None:
        """All steps are done: keep what came of them."""

    def _summed_up(self, trainer: T) -> dict[str, Any]:  # noqa: ARG002  # a subclass may have more to say
        """What else the result says of the steps that were done."""
        return {}

    def _go_on(self, step: int, logged: list[dict[str, float]]) -> None:
        """The run goes on after `step`, of which the trainer has `logged` the figures."""

    def _look(self, ground: G, trainer: T) -> None:
        """Look at what was learned, once it is kept."""

    def run(self) -> R:
        """All of it; stopped, what there is by then, with a checkpoint to go on from.

        Raises:
            WorkbenchError: it cannot be done, or not go on. The worker keeps the last checkpoint, as after a cancel.
        """
        try:
            with self._meter.watch() as peak:
                ground = self._ground = self._lay_ground()
                trainer = self._trainer(ground)
                trainer.before_saving = self._context.flush
                self._train(ground, trainer)
            self._measure(trainer, ground, peak.peak_bytes - self._idle_bytes)
            return self._ended(ground, trainer)
        except Stopped:
            return self._record.now
        except (WorkbenchError, RuntimeError, MemoryError) as error:
            raise self._explained(error) from error

    def _train(self, ground: G, trainer: T) -> None:
        record, checkpoint = self._record, self._checkpoints.own()
        if not checkpoint:
            checkpoint = self._checkpoints.anothers(ground.data.fingerprint, record.now.total_steps)
            trainer.is_anothers = checkpoint is not None
        if checkpoint:
            trainer.clock.restore(checkpoint)
            logged = self._checkpoints.logged(checkpoint)
            record.go_on(step_of(checkpoint), logged)
            self._go_on(step_of(checkpoint), logged)
        else:
            record.begin()
            self._begin(ground, trainer)
        if checkpoint and (record.has_stopped_early or step_of(checkpoint) >= record.now.total_steps):
            trainer.restore(checkpoint)  # the trainer would make one step more
        elif not self._context.should_stop():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def _measure(self, trainer: T, ground: G, peak: int) -> None:
        clock, predicted = trainer.clock, ground.plan.predicted_bytes
        rate = clock.tokens / clock.seconds if clock.seconds else 0.0
        self._record.keep(seconds=clock.seconds, tokens=clock.tokens, tokens_per_s=rate)
        tell = self._context.measurement
        tell(Measurement(name="train_s", value=clock.seconds, unit="s"))
        tell(Measurement(name="train_tokens_per_s", value=rate, unit="tokens/s"))
        tell(Measurement(name="peak_bytes", value=peak, unit="bytes", predicted=predicted or None))

    def _ended(self, ground: G, trainer: T) -> R:
        record, state = self._record, trainer.state
        facts: dict[str, Any] = {"epoch": float(state.epoch or 0.0)}
        if losses := [one["loss"] for one in state.log_history if "loss" in one]:
            facts |= {"loss_first": losses[0], "loss_last": losses[-1], "step": state.global_step}
        record.keep(**facts | self._summed_up(trainer))
        if not record.has_stopped_early and not 0 < state.max_steps <= state.global_step:
            if not self._context.should_stop():
                raise BadInput(
                    f"The training ended by itself after {state.global_step:,} of {state.max_steps:,} steps."
                )
            return record.now
        self._finish(ground, trainer)
        self._context.whole()
        self._look(ground, trainer)
        return record.now

    def _keep_files(self, ground: G, trainer: T, kind: ArtifactKind) -> None:
        """Make the trained weights an artifact of the job."""
        with self._context.artifact(kind, str(kind)) as folder:
            trainer.save_model(str(folder))
            name_base(folder, self._fields.model, self._fields.revision)
            ground.loaded.tokenizer.save_pretrained(folder)
            Path(folder, "training_args.bin").unlink(missing_ok=True)  # a pickle, of no use to anybody
            self._describe(ground, folder)
        self._context.models_changed()

    def _describe(self, ground: G, folder: Path) -> None:
        """Put a model card and the lineage into the folder of an artifact."""
        now, its_licence = self._record.now, licence(ground.loaded.source)
        write_card(folder, self._fields.model, its_licence, self._context.job_id, now)
        data = now.data.model_dump(mode="json") if now.data else None
        spec = self._fields.model_dump(mode="json")
        facts = {"licence": its_licence, "base_dtype": now.base_dtype, "step": now.step, "data": data}
        write_lineage(folder, self._context.job_id, self.kind, spec, base=self._fields.model, **facts)

    def _explained(self, error: Exception) -> Exception:
        known, ground = as_workbench_error(error), self._ground
        if not isinstance(known, OutOfMemory) or ground is None:
            return known
        return OutOfMemory(
            known.message, way_out(self._fields, ground.model, ground.loaded.precision, ground.longest, self.length)
        )
