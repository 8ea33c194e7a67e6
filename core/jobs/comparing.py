"""How a comparison runs: what is done with each variant in turn, what is kept meanwhile, and what it amounts to.

The measuring is in processes of its own (`core.comparison.subject`); this one imports no torch.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Any

from core.comparison.first_pass import QUALITY, FirstPass, Found, Plan
from core.comparison.judge import ended, measured, recommend
from core.comparison.peaks import alike
from core.comparison.prospects import Prospect, Sizes, prospects, usual_reference
from core.comparison.sentences import headlines
from core.comparison.stable import Stable
from core.comparison.subject import Subject, SubjectStopped, SubjectTrouble
from core.comparison.texts import read_text
from core.comparison.timing import Timing
from core.comparison.values import VariantResult, VariantState
from core.errors import BadInput, WorkbenchError
from core.jobs.compare import CompareResult, CompareSpec
from core.jobs.kind import Context
from core.memory.framework import framework_bytes
from core.precision import Precision
from core.values import MadeBy, Progress, Sample

STEPS = 5  # of a first pass, about; for how far the job is


class Comparing:
    """One attempt at a comparison."""

    def __init__(self, spec: CompareSpec, context: Context) -> None:
        self._spec = spec
        self._context = context
        self._machine = context.machine()
        self._kept = self._of_this_machine(context.restored() or {})
        self._found = self._look()
        self._reference = spec.reference or self._kept.get("reference") or usual_reference(self._found)
        self._results = {one.name: self._restored(one) for one in self._found}
        self._rest = self._restored_rest()
        self._token_bytes: dict[str, int] = {}
        self._done = 0
        self._said = ""
        self._stable = Stable(
            context.home,
            context.trusted_code,
            self._machine.usable_bytes,
            framework_bytes(context.home, self._machine.abilities.device),
            context.should_stop,
            self._tell,
        )

    def run(self) -> CompareResult:
        """All of it; stopped, what there is by then."""
        try:
            self._first_pass()
            self._second_pass()
        except SubjectStopped:
            self._results = {one.name: one for one in ended(self._results.values())}
        finally:
            self._stable.close()
        return self._comparison()

    def _of_this_machine(self, kept: dict[str, Any]) -> dict[str, Any]:
        """What an earlier attempt kept, where it ran on a device like this: figures of two are not set side by side."""
        return kept if kept.get("device") == self._machine.abilities.device else {}

    def _look(self) -> tuple[Prospect, ...]:
        spec, machine = self._spec, self._machine
        found = prospects(
            spec.names, spec.loads, self._context.home, machine.abilities,
            Sizes(spec.context_lengths, spec.batch_sizes, spec.max_new_tokens, spec.window),
            usable_bytes=machine.usable_bytes, on_host=machine.memory_kind == "host",
        )  # fmt: skip
        if all(one.why_not for one in found) and not self._kept:
            reasons = "; ".join(f"{one.name}: {one.why_not}" for one in found)
            raise BadInput(f"None of the variants can run here. {reasons}.")
        return found

    def _restored(self, one: Prospect) -> VariantResult:
        """What an earlier attempt found of it, else that it waits or why it will not be measured."""
        for body in self._kept.get("variants") or ():
            if body.get("name") == one.name and body.get("state") in (VariantState.SUCCEEDED, VariantState.FAILED):
                return VariantResult.model_validate(body)
        if one.why_not:
            return VariantResult(name=one.name, state=VariantState.SKIPPED, reason=one.why_not)
        return VariantResult(name=one.name, state=VariantState.QUEUED)

    def _restored_rest(self) -> CompareResult:
        """Whatever else an earlier attempt found. Without the reference's scores it is measured again, and all is."""
        from core.llm.scores import FILE_NAME

        kept, reference = self._kept, self._results.get(self._reference)
        waits = any(one.state is VariantState.QUEUED for one in self._results.values())
        was_scored = reference is not None and reference.quality is not None
        if waits and was_scored and not (self._context.scratch() / FILE_NAME).exists():
            self._kept = kept = {}
            self._results = {one.name: self._restored(one) for one in self._found}
        return CompareResult.model_validate(kept)

    def _first_pass(self) -> None:
        for result in self._results.values():
            self._keep_samples(result)
        waiting = [one for one in self._found if self._results[one.name].state is VariantState.QUEUED]
        if not waiting:
            return
        plan = self._plan()
        while waiting:
            waiting.sort(key=lambda one: one.name != self._reference)
            one = waiting.pop(0)
            self._measure(one, plan)
            if one.name == self._reference and not self._spec.reference and not self._is_of_use(one.name, plan):
                self._reference = usual_reference(waiting) or self._reference

    def _is_of_use(self, name: str, plan: Plan) -> bool:
        """Whether others can be held against it."""
        one = self._results[name]
        return one.state is VariantState.SUCCEEDED and (one.quality is not None or plan.text is None)

    def _plan(self) -> Plan:
        spec, folder = self._spec, self._context.scratch()
        plan = Plan(
            contexts=tuple(sorted(set(spec.context_lengths))),
            batches=tuple(sorted(set(spec.batch_sizes))),
            n_tokens=spec.max_new_tokens,
            prompts=spec.prompts,
            mode=spec.mode,
            temperature=spec.temperature,
            seed=spec.seed,
            window=spec.window,
            eval_tokens=spec.eval_tokens,
            text=None,
            folder=str(folder),
            usable_bytes=self._machine.usable_bytes,
            curves_of=self._curves_of(),
        )
        try:
            text = read_text(spec.eval_text, spec.eval_own, self._context.home, self._say)
        except WorkbenchError as error:
            return replace(plan, why_no_text=f"{error.message} {error.hint}".strip())
        file = folder / "text"
        file.write_text(text.text, encoding="utf-8", newline="")
        return replace(plan, text={"path": str(file), "name": text.name, "sha256": text.sha256})

    def _curves_of(self) -> str:
        """On a card the first in 16 bit, which flash attention needs; else the reference."""
        half = [one.name for one in self._found if not one.why_not and one.choice and not one.variant.adapter
                and one.choice.precision in (Precision.BFLOAT16, Precision.FLOAT16)]  # fmt: skip
        return half[0] if half and self._machine.memory_kind == "gpu" else self._reference

    def _measure(self, prospect: Prospect, plan: Plan) -> None:
        name = prospect.name
        one = FirstPass(plan, prospect, self._held_against(name), lambda step: self._say(f"{name}: {step}"))
        self._results[name] = one.found.variant
        self._say(f"{name}: loading", done=0)
        self._keep()
        began = time.monotonic()
        try:
            subject, facts = self._stable.get(prospect)
            self._measure_copy(subject)
            if any(other.state is VariantState.QUEUED for other in self._results.values()):
                self._stable.prepare()
            one.run(subject, facts or {})
        except SubjectTrouble as error:
            one.fail(error.trouble)
        finally:
            seconds = time.monotonic() - began
            self._results[name] = one.found.variant.model_copy(update={"seconds": seconds})
        if not self._stable.is_alive(name):
            self._stable.let_go(name)
        self._take(one.found)
        self._keep()

    def _measure_copy(self, subject: Subject) -> None:
        """How fast the device copies memory: once, while only the first variant is there."""
        if self._rest.copy_bytes_per_s is None:
            with contextlib.suppress(SubjectTrouble):  # a card that is nearly full has no room for it
                self._rest = self._rest.model_copy(update={"copy_bytes_per_s": float(subject.ask("bandwidth"))})

    def _held_against(self, name: str) -> str | None:
        """The reference that was scored; "" for itself; None where there is none to hold it against."""
        if name == self._reference:
            return ""
        reference = self._results.get(self._reference)
        return self._reference if reference and reference.quality else None

    def _take(self, found: Found) -> None:
        """What a first pass says of the comparison as a whole, and its outputs as samples."""
        facts = found.facts
        known: dict[str, Any] = {name: facts[name] for name in ("device", "memory_kind", "versions") if name in facts}
        if facts.get("notes"):
            known["notes"] = tuple(dict.fromkeys((*self._rest.notes, *facts["notes"])))
        known |= {"noise": found.noise} if found.noise else {}
        known |= {"curves": found.curves} if found.curves else {}
        if found.evaluation and (self._rest.evaluation is None or found.noise):
            known["evaluation"] = found.evaluation
        self._rest = self._rest.model_copy(update=known)
        if facts.get("token_bytes"):
            self._token_bytes[found.variant.name] = facts["token_bytes"]
        self._keep_samples(found.variant)

    def _keep_samples(self, one: VariantResult) -> None:
        """Its outputs as samples of this attempt: those of an earlier one are not shown any more."""
        for output in one.samples:
            for completion, seed in ((output.greedy, None), (output.sampled, self._spec.seed)):
                made_by = MadeBy(
                    model=one.model, revision=one.revision, adapter=one.adapter, precision=one.precision,
                    device=self._rest.device, seed=seed, versions=self._rest.versions,
                )  # fmt: skip
                self._context.sample(Sample(prompt=output.prompt, completion=completion, made_by=made_by))

    def _second_pass(self) -> None:
        from core.llm.statistics import ratio_interval

        names = [one.name for one in measured(self._comparison())]
        if all(self._results[name].tokens_per_s for name in names):
            return  # an earlier attempt has done it
        timing = Timing(
            self._stable, self._found, self._reference, self._spec.repeats, self._spec.max_new_tokens, self._say
        )
        groups = timing.plan(names)
        self._rest = self._rest.model_copy(update={"speed_order": timing.in_words(groups)})
        timing.take(groups, self._results, self._keep, ratio_interval)
        self._token_bytes |= timing.token_bytes
        for name in names:
            self._results[name] = self._results[name].model_copy(update={"roofline_tokens_per_s": self._roofline(name)})

    def _roofline(self, name: str) -> float | None:
        n_bytes, rate = self._token_bytes.get(name), self._rest.copy_bytes_per_s
        return rate / n_bytes if rate and n_bytes else self._results[name].roofline_tokens_per_s

    def _comparison(self) -> CompareResult:
        now = self._rest.model_copy(
            update={
                "reference": self._reference,
                "variants": alike(tuple(self._results.values())),
                "usable_bytes": self._machine.usable_bytes,
                "memory_kind": self._machine.memory_kind,
                "device": self._rest.device or self._machine.abilities.device,
            }
        )
        said = "" if not all(one.state.is_finished for one in now.variants) else " ".join(headlines(now)[:1])
        return now.model_copy(update={"text": said, "recommendation": recommend(now, now.usable_bytes)})

    def _keep(self) -> None:
        self._context.keep(self._comparison())

    def _say(self, message: str, done: int = 1) -> None:
        self._done += done
        self._said = message
        self._context.progress(self._progress(0.0))

    def _tell(self, progress: Progress) -> None:
        """How far a step is; it says its own name only where ours does not."""
        share = progress.current / progress.total if progress.total else 0.0
        windows = f", window {progress.current:,.0f} of {progress.total:,.0f}" if progress.message == QUALITY else ""
        self._context.progress(self._progress(min(share, 0.99), windows))

    def _progress(self, share: float, further: str = "") -> Progress:
        n_variants = sum(not one.why_not for one in self._found)
        total = n_variants * STEPS * 2
        current = min(self._done + share, total - 0.01)
        return Progress(current=current, total=total, message=self._said + further)
