"""Learning from rewards as it would come of the built-in reviews: made by hand, for the pages that show one."""

from __future__ import annotations

from math import exp
from typing import Any

from core.comparison.values import Interval
from core.training.rlhf_values import Alarm, JudgeFacts, RlhfResult, Standing
from core.training.values import Try
from core.values import Metric
from tests.web import trainings
from tests.web.trainings import PROMPTS, TOTAL

SAID = (" a thing of the thing of the", " good and warm, and it is good.", " a good good good film, so good")
REWARDS = ("lexicon", "length:12*0.2")


ALARMS = (
    Alarm(step=24, sign="one word", message="62% of the answers hold the same word; at first 12% shared one."),
    Alarm(
        step=41,
        sign="held-out reward",
        message="The reward rises while the held-out reward falls, 0.18 → -0.05.",
    ),
)


def metrics(until: int, begin: int = 1, total: int = TOTAL) -> list[Metric]:
    """What is logged from one step to another."""
    found = []
    for step in range(begin, until + 1):
        rise = 1 - exp(-step / 20)
        values = {
            "loss": 0.02 * ((step * 7) % 5 - 2), "grad_norm": 0.4 + 0.05 * (step % 4), "epoch": step / total,
            "learning_rate": 1e-3 * (1 - step / total), "tokens_per_s": 96.0 + step % 5, "seconds": 6.5 * step,
            "reward": 0.1 + 0.8 * rise, "reward_std": 0.4 - 0.2 * rise, "reward: lexicon": 0.05 + 0.75 * rise,
            "reward: length 12": 0.2 + 0.3 * rise, "held_out_reward": 0.2 - 0.3 * rise * rise, "held_out_std": 0.3,
            "reward: held-out words good": 0.2 - 0.3 * rise * rise, "kl": 1.2 * rise * rise,
            "entropy": 4.3 - 1.8 * rise, "completion_length": 18.0 - 3 * rise, "clipped": 0.8 - 0.3 * rise,
            "all_alike": 0.1 * rise, "distinct": 0.9 - 0.3 * rise, "one_word": 0.1 + 0.5 * rise, "reward_s": 0.01,
        }  # fmt: skip
        at = 1.8e9 + 7 * step
        found += [
            Metric(step=step, values=values, at=at),
            Metric(step=step, sort="machine", values=trainings.machine(step), at=at),
        ]
    return found


def tries(until: int) -> tuple[Try, ...]:
    """What the prompts were answered so far."""
    return tuple(
        Try(step=step, prompt=prompt, completion=SAID[min(step // 30, 2)], has_ended=False)
        for step in sorted({*range(0, until + 1, 10), *(one.step for one in ALARMS if one.step <= until)})
        for prompt in PROMPTS
    )


def standing(*, is_after: bool) -> Standing:
    """How answers to held-out prompts are."""
    return Standing(
        n=64,
        rewards={
            "lexicon": 0.78 if is_after else 0.06,
            "length 12": 0.5 if is_after else 0.2,
            "held-out words good": -0.05 if is_after else 0.2,
        },
        reward=0.88 if is_after else 0.1,
        positive=Interval(value=0.84, low=0.74, high=0.91, n=64)
        if is_after
        else Interval(value=0.49, low=0.37, high=0.61, n=64),
        distinct=0.61 if is_after else 0.93,
        words=310 if is_after else 352,
        mean_tokens=15.1 if is_after else 18.2,
        ended=0.5 if is_after else 0.2,
        said=tuple(SAID[2 if is_after else 0] for _ in PROMPTS),
    )


def result(step: int = TOTAL, total: int = TOTAL, **changes: Any) -> RlhfResult:
    """The result after so many steps."""
    usual: dict[str, Any] = {
        **trainings.result(min(step, total - 1), total).model_dump(),
        "step": step, "algorithm": "rloo", "rewards": (*REWARDS, "words:good"), "kl": 0.61, "prompts": PROMPTS,
        "tries": tries(step), "alarms": tuple(one for one in ALARMS if one.step <= step),
        "before": standing(is_after=False), "seconds": 6.5 * step, "eval_loss_before": None, "perplexity_before": None,
        "judge": JudgeFacts(
            data="reviews-labelled", n_rows=3_900, accuracy=Interval(value=0.78, low=0.76, high=0.8, n=980)
        ),
        "loss_first": None, "loss_last": None,
    }  # fmt: skip
    if step >= total:
        usual |= {
            "after": standing(is_after=True),
            "text": f"Positive answers 49 % → 84 %, reward 0.10 → 0.88, KL 0.61, in {step} steps of RLOO.",
        }
    return RlhfResult(**usual | changes)
