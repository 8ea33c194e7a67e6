"""What a load key means on this machine: which files, how they are loaded, and what that takes. Without torch.

Found out once a key, and again when models have come or gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from core.abilities import Abilities, Choice, choose
from core.catalog import BUILTIN_NAME, ModelSource, resolve, trust
from core.errors import AdapterMismatch, BadConfig, WorkbenchError
from core.memory.files import try_open_model
from core.memory.model import Model
from core.memory.needs import Needs, needs_of
from core.memory.stored import why_not
from core.precision import Precision
from core.settings import Settings
from core.variant import Variant
from worker.admission import Alternatives, Wanted

GOOD_FOR_S, ODD_FOR_S = 30.0, 5.0  # files may be changed by hand, and what was missing may come


@dataclass(frozen=True)
class Appraisal:
    """How a variant is loaded here; `needs` is None where its files do not tell what it takes."""

    variant: Variant
    source: ModelSource
    choice: Choice
    needs: Needs | None
    changed_at: int = 0
    """When its files were last written, in ns: others below the same name are another model."""
    may_run_code: bool = False
    alternatives: Alternatives = tuple
    """What it would take at other precisions, the widest first. Asked only for a job that can never fit."""

    @property
    def is_builtin(self) -> bool:
        """Whether it is the model that comes with the program, which may have to be unpacked first."""
        return self.source.name == BUILTIN_NAME

    @property
    def key(self) -> str:
        """The same for variants that share one model in memory."""
        threshold = f" {self.choice.threshold:g}" if self.choice.precision is Precision.INT8 else ""
        where = self.source.path
        return f"{where} {self.changed_at} {self.choice.precision} {self.choice.attention}{threshold}"[-800:]

    @property
    def wanted(self) -> Wanted | None:
        """What admission needs of it; None where nobody knows its needs."""
        if self.needs is None:
            return None
        return Wanted(self.key, self.variant.model, self.choice.precision, self.needs, self.alternatives)


class Appraiser:
    """Appraises variants on one machine.

    Args:
        abilities: what the machine can run, as it is known by now.
    """

    def __init__(self, settings: Settings, memory_kind: str, abilities: Callable[[], Abilities]) -> None:
        self._settings = settings
        self._on_host = memory_kind == "host"
        self._abilities = abilities
        self._known: dict[Variant, tuple[float, Appraisal | WorkbenchError]] = {}

    def appraise(self, variant: Variant) -> Appraisal:
        """How a variant is loaded here.

        Raises:
            ModelError: it is not here, or its files are of no use.
            BadInput: this machine cannot run it like that.
        """
        until_s, known = self._known.get(variant, (0.0, None))
        if known is None or time.monotonic() > until_s:
            known = self._try(variant)
            is_whole = isinstance(known, Appraisal) and known.needs is not None
            self._known[variant] = time.monotonic() + (GOOD_FOR_S if is_whole else ODD_FOR_S), known
        if isinstance(known, WorkbenchError):
            raise type(known)(known.message, known.hint)  # a fresh one: this one's frames would stay for ever
        return known

    def adapter(self, name: str) -> ModelSource:
        """The files of an adapter.

        Raises:
            ModelNotFound: it is not here.
            AdapterMismatch: it is no adapter.
        """
        source = resolve(name, self._settings.home)
        if not (source.folder / "adapter_config.json").is_file():
            raise AdapterMismatch(f"{name} is no adapter: it has no adapter_config.json.")
        return source

    def forget(self) -> None:
        """Look again: models or abilities have changed."""
        self._known = {}

    def _try(self, variant: Variant) -> Appraisal | WorkbenchError:
        try:
            return self._appraise(variant)
        except WorkbenchError as error:
            return type(error)(error.message, error.hint)

    def _appraise(self, variant: Variant) -> Appraisal:
        source = resolve(variant.model, self._settings.home, variant.revision)
        model = _read(source)
        choice = choose(variant, self._abilities(), model.attentions if model else ())
        may_run_code = trust.may_run_code(source, self._settings.trusted_code)
        needs = self._needs(model, choice.precision, choice) if model else None
        others = partial(self._others, model, choice) if model else tuple
        return Appraisal(variant, source, choice, needs, changed_at(source), may_run_code, others)

    def _needs(self, model: Model, precision: Precision, choice: Choice) -> Needs:
        return needs_of(model, precision, choice.attention, on_host=self._on_host)

    def _others(self, model: Model, choice: Choice) -> tuple[tuple[str, Needs], ...]:
        runs = self._abilities().precisions
        possible = [one for one in Precision if not runs.get(one) and not why_not(model.packing, one)]
        return tuple((str(one), self._needs(model, one, choice)) for one in possible if one is not choice.precision)


def largest_that_fits(appraisals: Sequence[Appraisal], n_tokens: int, room_bytes: int) -> Appraisal:
    """Of what a job loads one after another, what needs most and can still run; the least where nothing can."""

    def needed(one: Appraisal) -> int:
        return one.needs.whole_bytes(n_tokens) if one.needs else 0

    fits = [one for one in appraisals if needed(one) <= room_bytes]
    return max(fits, key=needed) if fits else min(appraisals, key=needed)


def _read(source: ModelSource) -> Model | None:
    """The model as the estimate sees it; None where its files do not say enough."""
    try:
        return try_open_model(source.path)
    except BadConfig as error:  # said before it is loaded: its numbers could be such that loading never ends
        raise BadConfig(f"{source.name} cannot be loaded: {error.message}", error.hint) from error


def changed_at(source: ModelSource) -> int:
    """When the files of a model or an adapter were last written, in ns; 0 where there are none."""
    files = [source.path] if source.file else [*source.folder.glob("*.json"), *source.folder.glob("*.safetensors")]
    return max((file.stat().st_mtime_ns for file in files if file.exists()), default=0)
