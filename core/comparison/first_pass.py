"""The first pass of a comparison: one variant alone in a fresh process, its memory, quality, layers and outputs.

What cannot be measured is said beside what was; only a variant that cannot be loaded, or whose process dies, fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from core.comparison.prospects import Prospect
from core.comparison.subject import Subject, SubjectTrouble
from core.comparison.values import (
    Curve,
    Decode,
    LayerError,
    Noise,
    Output,
    Prefill,
    Quality,
    Text,
    VariantResult,
    VariantState,
)
from core.errors import BadInput
from core.precision import Precision
from core.values import Trouble

DEAD = ("out_of_memory", "worker_lost")
OUTLIER_WINDOW = 512
QUALITY = "quality"


@dataclass(frozen=True)
class Plan:
    """What is measured of every variant alike, from the spec."""

    contexts: tuple[int, ...]
    batches: tuple[int, ...]
    n_tokens: int
    prompts: tuple[str, ...]
    mode: str
    temperature: float
    seed: int
    window: int
    eval_tokens: int
    text: dict[str, str] | None
    """Where the evaluation text lies; None where there is none, and `why_no_text` says why."""
    folder: str
    usable_bytes: int
    why_no_text: str = ""
    curves_of: str = ""
    """The variant that is measured with each attention implementation."""


@dataclass
class Found:
    """What measuring one variant gave, for the comparison too."""

    variant: VariantResult
    facts: dict[str, Any] = field(default_factory=dict)
    noise: Noise | None = None
    evaluation: Text | None = None
    curves: tuple[Curve, ...] = ()


class FirstPass:
    """One variant's first pass.

    Args:
        reference: "" for the reference itself, else the name of the one that was scored; None where it was not.
    """

    def __init__(self, plan: Plan, prospect: Prospect, reference: str | None, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._prospect = prospect
        self._reference = reference
        self._say = say
        self.found = Found(VariantResult(name=prospect.name, state=VariantState.RUNNING))
        self._reasons: list[str] = []

    def run(self, subject: Subject, facts: dict[str, Any]) -> None:
        """Measure it; what is found stands in `found`, whatever happens.

        Raises:
            SubjectStopped: asked to stop meanwhile.
        """
        began = time.monotonic()
        self.found.facts = facts
        self._set(**facts["variant"])
        try:
            for name, step in self._steps():
                self._say(name)
                self._try(name, step, subject)
        except SubjectTrouble as error:
            self.fail(error.trouble)
        else:
            self._set(state=VariantState.SUCCEEDED, reason=" ".join(self._reasons))
        self._set(seconds=time.monotonic() - began + float(self.found.variant.load_s or 0))

    def fail(self, trouble: Trouble) -> None:
        """It could not be measured, or not to the end; what this machine cannot run is no failure."""
        if trouble.code == BadInput.code:
            self._set(state=VariantState.SKIPPED, reason=trouble.message.rstrip("."))
        else:
            self._set(state=VariantState.FAILED, trouble=trouble)

    def _steps(self) -> Iterator[tuple[str, Callable[[Subject], None]]]:
        yield "memory", self._memory
        if self._prospect.name == self._plan.curves_of:
            yield "memory by attention", self._curves
        yield QUALITY, self._quality
        if self._prospect.choice and self._prospect.choice.precision.is_quantized:
            yield "layers", self._layers
        if self._plan.prompts:
            yield "outputs", self._samples

    def _try(self, name: str, step: Callable[[Subject], None], subject: Subject) -> None:
        try:
            step(subject)
        except SubjectTrouble as error:
            if error.trouble.code in DEAD and not subject.is_alive:
                raise
            said = f"{error.trouble.message} {error.trouble.hint}".strip()
            if name == QUALITY:
                self._set(quality_why_not=said)
            else:
                self._reasons.append(f"{name.capitalize()}: {said}")

    def _memory(self, subject: Subject) -> None:
        plan = self._plan
        told = subject.ask(
            "memory", contexts=plan.contexts, batches=plan.batches, n_tokens=plan.n_tokens,
            usable_bytes=plan.usable_bytes,
        )  # fmt: skip
        prefill = tuple(Prefill.model_validate(one) for one in told["prefill"])
        decode = tuple(Decode.model_validate(one) for one in told["decode"])
        self._set(prefill=prefill, decode=decode)

    def _curves(self, subject: Subject) -> None:
        told = subject.ask("curves", contexts=self._plan.contexts, usable_bytes=self._plan.usable_bytes)
        self.found.curves = tuple(Curve.model_validate(one) for one in told)

    def _quality(self, subject: Subject) -> None:
        plan = self._plan
        if plan.text is None:
            self._set(quality_why_not=plan.why_no_text)
            return
        began_s = time.monotonic()
        given: dict[str, Any] = {"text": plan.text, "window": plan.window, "eval_tokens": plan.eval_tokens}
        if self._reference == "":
            told = subject.ask("score_reference", folder=plan.folder, **given)
            self.found.noise = Noise.model_validate(told["noise"])
        else:
            told = subject.ask("score", folder=plan.folder if self._reference else None, **given)
            alone = "" if self._reference else "The reference was not measured, so there is nothing to hold it against."
            self._set(quality_why_not=told["why_not"] or alone)
        self.found.evaluation = Text.model_validate(told["evaluation"])
        quality = Quality.model_validate(told["quality"])
        self._set(
            quality=quality,
            quality_s=time.monotonic() - began_s,
            perplexity=quality.perplexity,
            kl_mean=quality.kl.mean if quality.kl else None,
            top1_agreement=quality.top1.value if quality.top1 else None,
        )

    def _layers(self, subject: Subject) -> None:
        choice = self._prospect.choice
        text = self._plan.text if choice and choice.precision is Precision.INT8 else None  # outliers are int8's alone
        threshold, window = choice.threshold if choice else 0.0, min(OUTLIER_WINDOW, self._plan.window)
        told = subject.ask("layers", text=text, window=window, threshold=threshold)
        self._set(layers=tuple(LayerError.model_validate(one) for one in told))

    def _samples(self, subject: Subject) -> None:
        plan = self._plan
        told = subject.ask(
            "samples", prompts=plan.prompts, mode=plan.mode, max_new_tokens=plan.n_tokens,
            temperature=plan.temperature, seed=plan.seed,
        )  # fmt: skip
        self._set(samples=tuple(Output.model_validate(one) for one in told))

    def _set(self, **values: Any) -> None:
        fields = {name: getattr(self.found.variant, name) for name in VariantResult.model_fields}
        self.found.variant = VariantResult.model_validate(fields | values)
