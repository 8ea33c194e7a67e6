"""What a training would be, said while one chooses: how, on what, its memory, what it fetches and what it blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from core.abilities import Abilities, usual_abilities, why_nowhere
from core.catalog import BUILTIN_NAME
from core.catalog.names import is_hub_name
from core.client import Workbench
from core.data.builtin import BUILTIN_DATA
from core.data.values import Format
from core.errors import WorkbenchError
from core.ids import is_id
from core.jobs.reward import RewardSpec
from core.jobs.rlhf import RlhfSpec
from core.jobs.sft import SftSpec
from core.memory import Model
from core.memory.fit import Verdict, judge
from core.memory.known import known_model, names
from core.memory.stored import why_not
from core.precision import Precision
from core.spec import Spec
from core.states import State
from core.store.queries import JobFilter
from core.store.workers import WorkerInfo
from core.training.plan import Plan, plan_for
from core.training.rlhf_plan import rlhf_plan
from core.variant import AUTO
from web.choices import Why
from web.fit_view import CHIPS
from web.form_titles import TITLES
from web.format import written
from web.headlines import short
from web.needs_here import Room, model_here, precision_of, room
from web.side_view import shown_value
from web.templates import fragment
from web.train_data import known_notes
from web.train_kinds import Trained
from web.train_said import rows_of
from web.words import Chip

QUEUE = "batch"


@dataclass(frozen=True)
class Memory:
    """What it is predicted to take, and why; `instead` is what would fit where this does not."""

    said: str
    chip: Chip | None
    reasons: tuple[str, ...]
    instead: str = ""


@dataclass(frozen=True)
class On:
    """What it would run on, as far as a plan asks."""

    precision: Precision
    on_card: bool
    has_fast_bfloat16: bool
    usable_bytes: int


def cannot_run(client: Workbench) -> Why:
    """By precision or attention, why no worker that trains can run it."""
    return why_nowhere(client.abilities(QUEUE) or client.abilities())


def render_ready(client: Workbench, spec: Trained) -> str:
    """The card beside the form."""
    workers = _trainers(client)
    where = room(workers)
    model = _model(client, spec)
    precision = _precision(spec, where)
    memory = _memory(client, spec, model, where, _on(where, precision, workers))
    return fragment(
        "train_ready",
        rows=rows_of(client, spec, precision),
        memory=memory,
        where=where,
        free=written(where.free_bytes, "bytes") if where else "",
        to_fetch=_to_fetch(client, spec),
        to_mind=known_notes(client, spec) if isinstance(spec, SftSpec) else (),
        differs=differs(spec),
        blocks=_blocks(client),
        why=_why_not(client, spec, model, where, precision, memory),
    )


def differs(spec: Spec) -> list[tuple[str, str]]:
    """The fields that are not as they are by default, but for those that say which model and data."""
    found = spec.model_dump(mode="json", exclude_defaults=True)
    return [(TITLES.get(name, name), shown_value(value)) for name, value in found.items() if name not in _NAMED]


_NAMED = ("model", "data")


def _precision(spec: Trained, where: Room | None) -> Precision | None:
    if where is None:
        return None
    usual = usual_abilities(where.name, "host" if where.is_host else "gpu").auto_precision
    return precision_of(spec.dtype, where) or (usual if spec.dtype == AUTO else None)


def _on(where: Room | None, precision: Precision | None, workers: Sequence[WorkerInfo]) -> On | None:
    if where is None or precision is None:
        return None
    told = [Abilities.model_validate(one.abilities) for one in workers if one.abilities]
    is_fast = any(one.auto_precision is Precision.BFLOAT16 for one in told) or not told
    return On(precision, not where.is_host, is_fast and not where.is_host, where.free_bytes)


def _trainers(client: Workbench) -> Sequence[WorkerInfo]:
    workers = client.workers()
    return [one for one in workers if one.queue == QUEUE] or workers


def _model(client: Workbench, spec: Trained) -> Model | None:
    info = next((one.info for one in client.models() if one.info.name == spec.model and not one.info.problem), None)
    if info:
        return model_here(client, info)
    return known_model(spec.model) if spec.model in names() else None


def _memory(client: Workbench, spec: Trained, model: Model | None, where: Room | None, on: On | None) -> Memory:
    if model is None or where is None or on is None:
        return Memory("not known before the model is here", None, ())
    try:
        plan = _plan(client, spec, model, on)
    except WorkbenchError as error:
        return Memory(error.message, None, ())
    if not plan.predicted_bytes:
        return Memory("not known for this model", None, plan.reasons)
    verdict = judge(plan.predicted_bytes, where.free_bytes).verdict
    instead = "" if verdict is Verdict.FITS else _instead(client, spec, model, on)
    return Memory(written(plan.predicted_bytes, "bytes"), CHIPS[verdict], plan.reasons, instead)


def _plan(client: Workbench, spec: Trained, model: Model, on: On) -> Plan:
    machine: dict[str, Any] = {
        "on_card": on.on_card,
        "has_fast_bfloat16": on.has_fast_bfloat16,
        "usable_bytes": on.usable_bytes,
    }
    if isinstance(spec, RlhfSpec):
        return rlhf_plan(spec, on.precision, model, _longest(spec), client.settings.home, **machine)
    is_words = not isinstance(spec, RewardSpec)  # a reward has no logits of words to compute in tiles
    return plan_for(spec, on.precision, spec.max_length, model, can_be_fused=is_words, **machine)


def _instead(client: Workbench, spec: Trained, model: Model, on: On) -> str:
    """The largest batch that fits with the same rows a step, if there is one."""
    rows = spec.per_device_train_batch_size
    while rows > 1:
        rows //= 2
        smaller = spec.model_copy(
            update={
                "per_device_train_batch_size": rows,
                "gradient_accumulation_steps": ceil(spec.rows_per_step / rows),
                "gradient_checkpointing": "auto",
            }
        )
        needed = _plan(client, smaller, model, on).predicted_bytes
        if judge(needed, on.usable_bytes).verdict is Verdict.FITS:
            n = smaller.gradient_accumulation_steps
            return f"A batch of {rows} with {n} batches a step would take {written(needed, 'bytes')}."
    return ""


def _to_fetch(client: Workbench, spec: Trained) -> list[str]:
    here = {one.info.name for one in client.models()}
    is_away = spec.model not in here and spec.model != BUILTIN_NAME and is_hub_name(spec.model)
    found = [f"{spec.model} is not here: download it first"] if is_away else []
    if spec.data in BUILTIN_DATA:
        return found
    if is_hub_name(spec.data) and "/" in spec.data and not is_id(spec.data):
        return [*found, f"the rows of {spec.data} come from the Hub, where they are not here yet"]
    return found


def _blocks(client: Workbench) -> str:
    """What runs and waits where it would go: one training at a time has a card."""
    minutes, gives_way = client.settings.yield_after_min, ""
    if minutes:
        gives_way = f" After {minutes:g} minutes it makes room for interactive jobs that wait for its memory."
    running = [job for job in client.list(JobFilter(state=State.RUNNING), limit=50) if job.queue == QUEUE]
    n_waiting = sum(job.queue == QUEUE for job in client.list(JobFilter(state=State.QUEUED), limit=50))
    if not running and not n_waiting:
        return "It starts at once; comparisons, merges and other trainings wait until it ends or is paused." + gives_way
    runs = f"“{running[0].name}” runs" if running else "nothing runs"
    waits = f", {n_waiting} wait{'s' if n_waiting == 1 else ''}" if n_waiting else ""
    return f"It waits in the queue: {runs}{waits} before it." + gives_way


def _why_not(
    client: Workbench,
    spec: Trained,
    model: Model | None,
    where: Room | None,
    precision: Precision | None,
    memory: Memory,
) -> str:
    """Why it would not run as it stands; "" where nothing is known against it."""
    if where is None or not any(one.queue == QUEUE for one in client.workers()):
        return "no worker runs that trains; the job would wait for one"
    if reason := cannot_run(client).get(spec.dtype) or cannot_run(client).get(spec.attn_implementation):
        return f"{spec.dtype} cannot run here: {reason}"
    if model and precision and precision.is_quantized and (packed := why_not(model.packing, precision)):
        return packed
    if is_id(spec.data) and not any(one.id == spec.data for one in client.uploads()):
        return "there is no upload of that id here"
    if spec.model not in {one.info.name for one in client.models()} and spec.model != BUILTIN_NAME:
        return f"{short(spec.model)} is not here"
    if isinstance(spec, RlhfSpec) and not spec.is_online and _is_no_preference(spec.data):
        return f"dpo learns from preferences, which {spec.data} has none of: take reviews-preferences"
    if memory.chip is CHIPS[Verdict.EXCEEDS]:
        return "it is predicted to need more memory than there is"
    return ""


def _is_no_preference(data: str) -> bool:
    return data in BUILTIN_DATA and BUILTIN_DATA[data].format is not Format.PREFERENCE


def _longest(spec: RlhfSpec) -> int:
    return spec.max_prompt_length + spec.max_completion_length if spec.is_online else spec.max_length
