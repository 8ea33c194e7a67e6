"""A training as fragments, wherever its job is shown: answers over time, held-out rows, its first row, facts.

Its curves are no fragment but data, drawn in place as they grow (`web.train_curves`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from core.comparison.variants import BEFORE_AFTER
from core.format import percent
from core.states import State
from core.training.reward_values import RewardReport
from core.training.rlhf_values import RlhfResult
from core.training.values import TrainResult, Try
from core.values import ArtifactKind, ArtifactRef, Job
from web import reward_view, rlhf_view
from web.format import quantity, significant, written
from web.templates import fragment
from web.train_results import RESULTS, learned, result_of

TRAINING = tuple(RESULTS)
PARTS = (
    "train_alarms", "train_standing", "train_told", "train_tries", "train_judged", "train_row", "train_facts",
)  # fmt: skip
WHICH = {"best": "Best", "worst": "Worst", "random": "At random"}


@dataclass(frozen=True)
class Step:
    """What one would do next: a link, or a button that does it."""

    title: str
    link: str = ""
    do: str = ""
    is_main: bool = False


def render_parts(job: Job, deletable_bytes: int = 0) -> dict[str, str]:
    """The fragments beside the headline; empty strings for what there is nothing for.

    Args:
        deletable_bytes: what the one who looks can free by deleting checkpoints.
    """
    found = result_of(job)
    if found is None:
        return dict.fromkeys(PARTS, "")
    parts = dict.fromkeys(PARTS, "") | _rendered(job.kind, found.model_dump_json())
    return parts | {"train_facts": _facts(job, found, deletable_bytes)}


@lru_cache(maxsize=32)  # a live view is read each second, and most of the time none of these has changed
def _rendered(kind: str, text: str) -> dict[str, str]:
    found = RESULTS[kind].model_validate_json(text)
    return _of_kind(found) | {
        "train_tries": _tries(found) if found.tries else "",
        "train_judged": fragment("train_judged", judged=found.judged, which=WHICH, number=significant),
        "train_row": fragment("train_row", pieces=found.first_row),
    }


def _of_kind(found: TrainResult) -> dict[str, str]:
    match found:
        case RlhfResult():
            return rlhf_view.render_parts(found)
        case RewardReport():
            return reward_view.render_parts(found)
    return {}


def _tries(found: TrainResult) -> str:
    """The answers, each beside the one of the reference where there is a reference."""
    steps = tries_by_step(found)
    reference = {one.prompt: one.completion for one in steps.get(0, ())} if isinstance(found, RlhfResult) else {}
    return fragment("train_tries", steps=steps, reference=reference)


def tries_by_step(found: TrainResult) -> dict[int, list[Try]]:
    """The answers, by the step that they were given at."""
    steps: dict[int, list[Try]] = {}
    for one in found.tries:
        steps.setdefault(one.step, []).append(one)
    return dict(sorted(steps.items()))


def headline(job: Job) -> str:
    """What was learned, in a sentence; "" before there is something to say."""
    found = result_of(job)
    if found is None:
        return ""
    if job.state is State.HELD:
        return f"Paused after {found.step:,} of {found.total_steps:,} steps; what was learned is kept."
    return found.text or _said(job, found)


def _said(job: Job, found: TrainResult) -> str:
    if not job.state.is_finished:
        return ""
    if job.state is State.SUCCEEDED:
        return learned(found)
    ended = "Failed" if job.error else "Stopped"
    return f"{ended} after {found.step:,} step{'' if found.step == 1 else 's'}. {learned(found)}".strip()


def progress_line(job: Job) -> str:
    """How far it is in numbers: the step, the pace, and the loss."""
    found = result_of(job)
    progress = job.progress
    if job.kind not in TRAINING or progress is None or not progress.total:
        return ""
    pace = found.seconds / found.step if found and found.step and found.seconds else 0.0
    return f"step {progress.current:,.0f} of {progress.total:,.0f}" + (
        f" · {written(pace, 's')} a step" if pace else ""
    )


def next_steps(job: Job) -> list[Step]:
    """What one would do with what was learned."""
    if not job.state.is_finished:
        return []
    made = {one.kind: one for one in job.artifacts}
    steps = [*_with_adapter(job, made), *_with_model(job, made), *_with_reward(job, made)]
    steps.append(Step("Clone with changes", form_of(job)))
    if checkpoint := made.get(ArtifactKind.CHECKPOINT):
        steps.append(Step("Go on from its checkpoint", form_of(job, resume=checkpoint.id), is_main=not steps[:-1]))
    return steps


def form_of(job: Job, **further: str) -> str:
    """The form as a training had it."""
    kind = {"kind": job.kind} if job.kind != "sft" else {}
    return f"/train?{urlencode({**kind, 'like': job.id, **further})}"


def _with_reward(job: Job, made: dict[ArtifactKind, ArtifactRef]) -> list[Step]:
    """Nothing where it was not proven."""
    reward, found = made.get(ArtifactKind.REWARD), result_of(job)
    if reward is None or not isinstance(found, RewardReport) or not found.is_proven:
        return []
    return [
        Step("Use as reward", reward_view.link_of(job, found, reward), is_main=True),
        Step("See the reward", f"/artifacts?{urlencode({'id': reward.id})}"),
    ]


def _with_adapter(job: Job, made: dict[ArtifactKind, ArtifactRef]) -> list[Step]:
    adapter = made.get(ArtifactKind.ADAPTER)
    if adapter is None:
        return []
    words = {"model": job.model, "adapter": adapter.id}
    return [
        Step("Try it in the Playground", f"/?{urlencode(words)}", is_main=True),
        Step("Merge into its base", do="merge"),
        Step("Compare with base", f"/compare?{urlencode({**words, 'variants': BEFORE_AFTER})}"),
    ]


def _with_model(job: Job, made: dict[ArtifactKind, ArtifactRef]) -> list[Step]:
    model = made.get(ArtifactKind.MODEL)
    if model is None:
        return []
    asked = {"model": job.model, "merged": model.id, "variants": BEFORE_AFTER}
    return [
        Step("Try it in the Playground", f"/?{urlencode({'model': model.id})}", is_main=True),
        Step("Compare with base", f"/compare?{urlencode(asked)}"),
    ]


def _facts(job: Job, found: TrainResult, deletable_bytes: int) -> str:
    before = found.preflight
    checkpoints = [one for one in job.artifacts if one.kind is ArtifactKind.CHECKPOINT]
    measured = next((m.value for m in job.measurements if m.name == "peak_bytes"), 0.0)
    return fragment(
        "train_facts",
        found=found,
        before=before,
        measured=measured,
        checkpoints=checkpoints,
        on_disk=0 if job.state.is_finished else found.checkpoint_bytes,  # what is left of them then is an artifact
        deletable_bytes=deletable_bytes,
        is_held=job.state is State.HELD,
        share=percent,
        number=significant,
        parameters=_parameters(found),
        said=lambda value, unit: " ".join(quantity(value, unit)).strip(),
    )


def _parameters(found: TrainResult) -> str:
    if not found.n_trained:
        return ""
    n, whole = (written(each, "parameters") for each in (found.n_trained, found.n_parameters))
    share = f" of {whole} ({percent(found.n_trained / found.n_parameters, 2)})" if found.n_parameters else ""
    return f"{n}{share}"


def as_body(job: Job) -> dict[str, Any]:
    """What the template of the result needs."""
    return {"headline": headline(job), "steps": next_steps(job)}
