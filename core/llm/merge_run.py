"""How a merge runs: base + adapter are asked first, then the merged model is written, and asked the same.

One model is in memory at a time; the merged one gets its place only where it passes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from core.abilities import Choice
from core.catalog import ModelSource, resolve, trust
from core.comparison.merged import MergeAsked, MergeReport, Pair, Verdict, judge, way_out
from core.comparison.texts import EvaluationText, read_text
from core.errors import AdapterMismatch, MergeCheckFailed, ModelError, Unavailable
from core.llm.loading import LoadedModel, first_device, load
from core.llm.measure import Peak, PeakMeter, meter_of_loads, versions
from core.llm.merge_check import BYTES_A_LOGIT, Exam, Gate, GateStopped, put_on
from core.llm.merge_notes import FALLBACK_TEXT, notes_of
from core.llm.merge_room import check_disk, place_of_check
from core.llm.merge_steps import Steps
from core.llm.merging import merge
from core.llm.merging_adapter import Adapter, read_adapter
from core.llm.merging_base import Base
from core.llm.merging_files import begin, clear, licence, sign, small_bytes, write_small_files
from core.llm.merging_plan import plan_merge
from core.llm.own import weights_apart
from core.llm.resident import release_memory
from core.llm.stamp import stamp
from core.llm.unpack import unpack_if_builtin
from core.precision import Precision
from core.values import ArtifactKind, Measurement, Progress, Sample
from core.variant import Attention

T = TypeVar("T")
KNOWN_DTYPES = ("float32", "bfloat16", "float16")


class _Door(Protocol):
    """What a merge sees of the world: a part of a job's Context."""

    job_id: str
    home: Path
    trusted_code: str

    def should_stop(self) -> bool: ...
    def progress(self, progress: Progress) -> None: ...
    def sample(self, sample: Sample) -> None: ...
    def measurement(self, measurement: Measurement) -> None: ...
    def scratch(self) -> Path: ...
    def artifact(self, kind: ArtifactKind, name: str) -> AbstractContextManager[Path]: ...
    def models_changed(self) -> None: ...
    def memory(self) -> AbstractContextManager[Peak]: ...


class Merging:
    """One attempt at a merge.

    Args:
        usable_bytes: what the device's memory has for it.
        keep: takes what is known where the merged model fails.
    """

    def __init__(
        self, asked: MergeAsked, context: _Door, usable_bytes: int, keep: Callable[[MergeReport], None]
    ) -> None:
        self._spec, self._context = asked, context
        self._usable_bytes, self._keep = usable_bytes, keep
        self.result = MergeReport()
        self._steps = Steps(context.progress, context.should_stop)
        self._device_peak = 0
        self._answers: list[tuple[str, str]] = []

    def run(self) -> MergeReport:
        """All of it; stopped, what is known by then."""
        began = time.monotonic()
        folder = self._context.scratch() / "check"
        try:
            clear(self._context.scratch())
            self._open()
            folder.mkdir(parents=True, exist_ok=True)
            self._gate = Gate(folder, self._exam(), self._steps.hear_windows, self._context.should_stop)
            self._ask_both()
            self._merge_and_ask()
        except GateStopped:
            self._update(text="Stopped; no merged model is left.")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._measure("seconds", time.monotonic() - began, "s")
            self._measure("peak_bytes", self._device_peak, "bytes")
        return self.result

    def _open(self) -> None:
        """Read what adapter and base say of themselves, and refuse what cannot be done before any weight is read."""
        spec, context = self._spec, self._context
        self._adapter = read_adapter(resolve(spec.adapter, context.home).folder)
        self._source = self._find_base()
        self._may_run_code = trust.may_run_code(self._source, context.trusted_code)
        self._base = Base(self._source, self._may_run_code)
        stored = self._base.stored_as
        usual = stored if stored in KNOWN_DTYPES else "float32"
        self._plan = plan_merge(self._base, self._adapter, usual if spec.dtype == "auto" else spec.dtype)
        self._place = place_of_check(self._base, self._plan, first_device(), self._usable_bytes, spec.window)
        self._steps.n_steps = 4 if self._needs_floor else 3
        rows = int(self._base.parameters[f"{self._base.embedding}.weight"].shape[0])
        kept = max(spec.eval_tokens, spec.window) * rows * BYTES_A_LOGIT
        check_disk(context.home, self._plan.n_bytes + small_bytes(self._source, self._adapter), kept)
        self._begin_result()

    def _find_base(self) -> ModelSource:
        """The base that was asked for, else the one that the adapter names."""
        spec, context = self._spec, self._context
        name = spec.model or self._adapter.base
        if not name:
            raise AdapterMismatch(f"The adapter {spec.adapter} does not say what its base is.", "Name it as the model.")
        try:
            found = resolve(name, context.home, spec.revision or (None if spec.model else self._adapter.revision))
        except ModelError as error:
            if spec.model:
                raise
            hint = f"{error.hint} Or name the base as it is called here.".strip()
            raise type(error)(f"The adapter's base is not here. {error.message}", hint) from error
        unpack_if_builtin(found.name, context.home)
        return found

    def _begin_result(self) -> None:
        plan, place = self._plan, self._place
        short = [name.rstrip("/").rpartition("/")[2] for name in (self._source.name, self._spec.adapter)]
        self._update(
            model=f"{short[0]} with {short[1]}",
            base=self._source.name,
            revision=self._source.revision,
            adapter=self._spec.adapter,
            licence=licence(self._source),
            dtype=plan.dtype,
            checked_in=str(place.precision),
            n_tensors=len(plan.tensors),
            n_changed=plan.n_changed,
            n_bytes=plan.n_bytes,
            notes=notes_of(self._spec, self._source, self._adapter, self._base, plan, place),
            versions=versions(),
        )

    def _exam(self) -> Exam:
        spec = self._spec
        try:
            text = read_text(spec.eval_text, spec.eval_own, self._context.home, self._steps.say)
        except Unavailable as error:  # no network: a few sentences are better than no check
            text = EvaluationText("built-in sentences", *FALLBACK_TEXT)
            self._note(f"The text {spec.eval_text} could not be fetched ({error.message}), so a short one was read.")
        return Exam(text, spec.prompts, spec.eval_tokens, spec.window, spec.max_new_tokens, spec.seed)

    @property
    def _needs_floor(self) -> bool:
        """Whether rounding costs something by itself that has to be known."""
        return self._plan.dtype != "float32" and self._place.precision is Precision.FLOAT32

    def _ask_both(self) -> None:
        """Base + adapter: its logits kept, its noise, its answers, and what its running in 16 bit costs."""
        precision = self._place.precision
        self._in_memory(self._source, precision, self._adapter, self._take_reference)
        if self._needs_floor:
            narrow = Precision(self._plan.dtype)
            floor = self._in_memory(self._source, narrow, self._adapter, self._gate.distance)
            self._update(floor=floor)

    def _take_reference(self, loaded: LoadedModel) -> None:
        self._gate.prepare(loaded)
        noise = self._gate.reference(loaded)
        self._update(noise=noise, device=loaded.device_name, evaluation=self._gate.as_text())
        self._answers = self._asked(loaded, self._spec.adapter)

    def _merge_and_ask(self) -> None:
        """Written aside, asked, and given its place only where it passes."""
        with self._context.artifact(ArtifactKind.MODEL, self.result.model) as folder:
            begin(self._context.scratch(), folder)
            self._write(folder)
            write_small_files(self._source, self._adapter, self._plan, folder)
            made = ModelSource(self.result.model, folder, None)
            self._in_memory(made, self._place.precision, None, self._hold)
            sign(folder, self._spec, self.result, self._adapter, self._context.job_id)
            if self.result.verdict is Verdict.FAILED:
                self._keep(self.result)
                raise MergeCheckFailed(f"{self.result.text} {self.result.rule}", way_out(self.result))
        self._context.models_changed()

    def _write(self, folder: Path) -> None:
        began = time.monotonic()
        self._steps.begin("merging")
        with weights_apart(), meter_of_loads(PeakMeter("cpu")).watch() as peak:
            done = merge(
                self._base, self._adapter, self._plan, folder, self._steps.hear_bytes, self._context.should_stop
            )
        if done is None:
            raise GateStopped
        self._measure("merge_s", time.monotonic() - began, "s")
        predicted = 2 * self._plan.largest_bytes + self._adapter.largest_bytes
        self._measure("merge_peak_bytes", peak.peak_bytes - peak.resident_bytes, "bytes", predicted)
        self._measure("written_bytes", done.n_bytes, "bytes")

    def _hold(self, loaded: LoadedModel) -> None:
        found = self._gate.distance(loaded)
        theirs = self._asked(loaded, None)
        pairs = zip(self._spec.prompts, self._answers, theirs, strict=True)
        samples = tuple(
            Pair(prompt=prompt, adapter=ours, merged=their, is_equal=ours == their, why_not=why)
            for prompt, (ours, why), (their, _) in pairs
        )
        self.result = judge(self.result.model_copy(update={"found": found, "samples": samples}))

    def _asked(self, loaded: LoadedModel, adapter: str | None) -> list[tuple[str, str]]:
        """The answers, kept as samples that say what made them."""
        found = self._gate.answers(loaded)
        for prompt, (text, why) in zip(self._spec.prompts, found, strict=True):
            if not why:
                made_by = stamp(loaded, None, adapter)
                self._context.sample(Sample(prompt=prompt, completion=text, made_by=made_by))
        return found

    def _in_memory(
        self, source: ModelSource, precision: Precision, adapter: Adapter | None, work: Callable[[LoadedModel], T]
    ) -> T:
        """What `work` gives with a model that is in memory while it works, and gone before the next."""
        self._steps.begin(f"{'base + adapter' if adapter else 'the merged model'} in {precision}")
        choice = Choice(precision, Attention.SDPA, str(precision), 0.0, may_fall_back=True)
        device, tell = self._place.device, self._steps.hear_load
        with self._context.memory() as peak:
            loaded = load(source, choice, device=device, tell=tell, may_run_code=self._may_run_code)
            if adapter:
                put_on(loaded, adapter.folder)
            found = work(loaded)
        del loaded
        release_memory()
        self._device_peak = max(self._device_peak, peak.peak_bytes)
        return found

    def _measure(self, name: str, value: float, unit: str, predicted: float | None = None) -> None:
        if value:  # what was never reached has none
            self._context.measurement(Measurement(name=name, value=value, unit=unit, predicted=predicted))

    def _note(self, sentence: str) -> None:
        self._update(notes=(*self.result.notes, sentence))

    def _update(self, **fields: Any) -> None:
        self.result = self.result.model_copy(update=fields)
