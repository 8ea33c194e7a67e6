"""What a training of any kind says of itself, read from its job."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from core.training.headline import headline
from core.training.reward_headline import reward_headline
from core.training.reward_values import RewardReport
from core.training.rlhf_headline import rlhf_headline
from core.training.rlhf_values import RlhfResult
from core.training.values import TrainResult
from core.values import Job

RESULTS: Mapping[str, type[TrainResult]] = {"sft": TrainResult, "reward": RewardReport, "rlhf": RlhfResult}


def result_of(job: Job) -> TrainResult | None:
    """The result by now; None where it says nothing that this version reads."""
    kind = RESULTS.get(job.kind)
    if kind is None or not job.result:
        return None
    known = {name: value for name, value in job.result.items() if name in kind.model_fields}
    try:
        return kind.model_validate(known)
    except ValidationError:
        return None


def learned(found: TrainResult) -> str:
    """What was learned, in a sentence with its figures; "" where nothing was."""
    match found:
        case RlhfResult():
            return rlhf_headline(found)
        case RewardReport():
            return reward_headline(found)
    return headline(found)
