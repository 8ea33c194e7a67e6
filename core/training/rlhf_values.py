"""What is kept of reinforcement learning, beside what every training keeps."""

from __future__ import annotations

from core.comparison.values import Interval
from core.training.values import TrainResult
from core.values import Value


class Alarm(Value):
    """A sign that a run learns to please its reward instead of people."""

    step: int
    sign: str
    message: str


class Standing(Value):
    """What answers to the same held-out prompts are like, before or after.

    Attributes:
        n: how many answers.
        rewards: the mean of each reward by its name, the held-out one too.
        reward: their weighted sum.
        positive: as the judge sees them, which saw neither the reward's rows nor the reward.
        distinct: the share of different pairs of words among all pairs.
        words: the number of different words in all answers.
        mean_tokens: of an answer.
        ended: the share that ended by itself.
        said: answers to the first prompts.
    """

    n: int
    rewards: dict[str, float]
    reward: float
    positive: Interval | None = None
    distinct: float
    words: int
    mean_tokens: float
    ended: float
    said: tuple[str, ...] = ()


class JudgeFacts(Value):
    """Who judged: what it learned from, and how often it is right about rows that it did not see."""

    data: str
    n_rows: int
    accuracy: Interval


class RlhfResult(TrainResult):
    """What a run of reinforcement learning says of itself.

    Attributes:
        algorithm: rloo, grpo or dpo.
        rewards: as they were written, with the held-out one last where there is one.
        kl: to the reference, nats a token, at the last step.
        alarms: in the order in which they came.
        stopped_by: the sign that ended the run before its last step; "" where none did.
        prompts: those of `before` and `after`.
    """

    algorithm: str = ""
    rewards: tuple[str, ...] = ()
    kl: float | None = None
    alarms: tuple[Alarm, ...] = ()
    stopped_by: str = ""
    prompts: tuple[str, ...] = ()
    before: Standing | None = None
    after: Standing | None = None
    judge: JudgeFacts | None = None
