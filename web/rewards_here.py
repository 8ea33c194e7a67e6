"""The models that can score answers: rewards that jobs made and that were proven, and classifiers that workers have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

from core.catalog import resolve
from core.client import Workbench
from core.errors import NotFound, WorkbenchError
from core.ids import is_id
from core.training.reward_values import RewardReport
from core.values import Job, Role
from web.headlines import short
from web.train_results import result_of

MOST_LABELS = 50


@dataclass(frozen=True)
class RewardOffer:
    """A model that can be a reward: its name, what it is called, and the labels that it knows."""

    value: str
    title: str
    labels: tuple[str, ...] = ()


def reward_offers(client: Workbench) -> list[RewardOffer]:
    """What can be chosen as a reward."""
    names = [one.info.name for one in client.models() if one.info.role is Role.CLASSIFIER and not one.info.problem]
    return [offer for name in dict.fromkeys(names) if (offer := offer_of(client, name))]


def offer_of(client: Workbench, name: str) -> RewardOffer | None:
    """A classifier as a reward; None for one of a job that could not prove it."""
    job = _maker(client, name)
    if job is not None and not is_proven(job):
        return None
    return RewardOffer(name, title_of(client, name), labels_here(name, client.settings.home))


def title_of(client: Workbench, name: str) -> str:
    """What a reward is called: one that a job made by the name of the job."""
    job = _maker(client, name)
    return job.name if job else short(name)


def is_proven(job: Job) -> bool:
    """Whether a job made a reward that was loaded again and gave the same scores."""
    found = result_of(job)
    return isinstance(found, RewardReport) and found.is_proven


@lru_cache(maxsize=256)
def labels_here(name: str, home: Path) -> tuple[str, ...]:
    """The labels that a classifier's own config names; none for a reward model, or where it is on another machine."""
    try:
        config = json.loads((resolve(name, home).path / "config.json").read_text())
        told = config.get("id2label") or {}
    except (WorkbenchError, OSError, ValueError, AttributeError):
        return ()
    labels = [str(label) for label in told.values()] if isinstance(told, dict) else []
    return tuple(labels[:MOST_LABELS]) if len(labels) > 1 else ()


def link_to_use(name: str, labels: tuple[str, ...], further: Mapping[str, str | float] | None = None) -> str:
    """The form of `rlhf` with that reward filled in."""
    label = f",label={counted(labels)}" if labels else ""
    return f"/train?{urlencode({'kind': 'rlhf', 'reward': f'model:{name}{label}', **(further or {})})}"


def counted(labels: tuple[str, ...]) -> str:
    """The label that one would most likely reward."""
    return next((one for one in labels if "pos" in one.lower()), labels[-1])


def _maker(client: Workbench, name: str) -> Job | None:
    if not is_id(name):
        return None
    try:
        return client.artifact(name)[0]
    except NotFound:
        return None
