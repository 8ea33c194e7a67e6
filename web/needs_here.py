"""What a model that a worker has would take of a card's memory, where this machine can tell.

The files may lie on another machine; then nothing is said. Only names that workers have reported are looked for, so
that nobody makes the web process read a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.abilities import Abilities
from core.catalog import resolve
from core.client import Workbench
from core.errors import WorkbenchError
from core.memory import Model, Precision
from core.memory.files import open_model
from core.memory.fit import Fit, judge
from core.memory.known import known_model, names
from core.memory.needs import Needs, needs_of
from core.memory.stored import why_not
from core.memory.work import best_attention
from core.store.workers import WorkerInfo
from core.values import ModelInfo
from core.variant import AUTO


@dataclass(frozen=True)
class Room:
    """The card that a job would most likely go to: the one with the most free memory."""

    name: str
    free_bytes: int
    is_host: bool
    auto: Precision | None
    """What `auto` is there, where its worker has said so."""


@dataclass(frozen=True)
class Need:
    """What a model takes at one precision, held against a card; `why_not` says that it cannot be had."""

    precision: Precision
    needs: Needs
    fit: Fit
    why_not: str


def room(workers: Sequence[WorkerInfo]) -> Room | None:
    """The card to speak of; None where no worker answers."""
    able = [worker for worker in workers if worker.queue == "interactive"] or list(workers)
    if not able:
        return None
    best = max(able, key=lambda worker: worker.memory_free)
    is_host = best.memory_kind == "host"
    auto = Abilities.model_validate(best.abilities).auto_precision if best.abilities else None
    return Room("this machine" if is_host else best.device, int(best.memory_free), is_host, auto)


def needs_here(client: Workbench, info: ModelInfo, where: Room) -> dict[Precision, Need]:
    """By precision; nothing where the model's shapes cannot be read here."""
    model = model_here(client, info)
    return {one: _need(model, one, where) for one in Precision} if model else {}


def model_here(client: Workbench, info: ModelInfo) -> Model | None:
    """The model's shapes; None where they cannot be read here."""
    return _model(info.name, info.revision, client.settings.home, info.n_bytes)


def precision_of(dtype: str, where: Room) -> Precision | None:
    """The precision that a dtype means there."""
    return where.auto if dtype == AUTO else next((one for one in Precision if one == dtype), None)


def _need(model: Model, precision: Precision, where: Room) -> Need:
    needs = needs_of(model, precision, best_attention(model), on_host=where.is_host)
    why = why_not(model.packing, precision) if precision.is_quantized else ""  # else it is used as it is stored
    return Need(precision, needs, judge(needs.load_bytes, where.free_bytes), why)


@lru_cache(maxsize=256)
def _model(name: str, revision: str | None, home: Path, n_bytes: int) -> Model | None:  # noqa: ARG001 - changes with its files
    try:
        return open_model(resolve(name, home, revision).path)
    except (WorkbenchError, OSError, ValueError):
        return known_model(name) if name in names() else None
