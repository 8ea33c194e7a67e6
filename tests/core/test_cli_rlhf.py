from __future__ import annotations

from typing import Any

from core.cli_rlhf import RLHF
from core.client import Workbench
from core.comparison.values import Interval
from core.training.rlhf_values import Alarm, JudgeFacts, RlhfResult, Standing
from tests.core.test_cli_train import ended, said

AFTER: dict[str, Any] = {
    "n": 160, "rewards": {"positive": 3.1, "held-out lexicon": 0.4}, "reward": 3.1, "distinct": 0.8, "words": 440,
    "mean_tokens": 19.0, "ended": 0.1, "positive": Interval(value=0.84, low=0.77, high=0.89, n=160),
    "said": ("a moving \x1b[31mfilm",),
}  # fmt: skip


def found(**changes: Any) -> RlhfResult:
    before = Standing(
        **AFTER
        | {"reward": 0.6, "rewards": {"positive": 0.6, "held-out lexicon": 0.1}, "words": 500, "said": ("a dull film",)}
        | {"positive": Interval(value=0.49, low=0.41, high=0.57, n=160)}
    )
    usual: dict[str, Any] = {
        "algorithm": "rloo", "step": 40, "kl": 0.61, "before": before, "after": Standing(**AFTER),
        "prompts": ("The film is",), "alarms": (Alarm(step=31, sign="one word", message="60% hold the same word."),),
        "judge": JudgeFacts(
            data="reviews-labelled", n_rows=5_000, accuracy=Interval(value=0.78, low=0.77, high=0.79, n=5_000)
        ),
    }  # fmt: skip
    return RlhfResult(**usual | changes)


def test_it_says_in_a_sentence_what_changed(workbench: Workbench) -> None:
    told = said(ended(workbench, "rlhf", {}, found().model_dump(mode="json")))
    assert told.splitlines()[0] == (
        "Positive answers 49 % → 84 %, reward 0.60 → 3.10, KL 0.61, distinct words \u221212 %, in 40 steps of RLOO."
    )
    assert "84.0 % (77.0 % to 89.0 %)" in told
    assert "held-out lexicon" in told
    assert "! step 31: 60% hold the same word." in told
    assert "5,000 held-out rows of reviews-labelled" in told
    assert "\x1b" not in told


def test_an_alarm_is_told_once_while_somebody_waits(workbench: Workbench) -> None:
    quiet, loud = (
        ended(workbench, "rlhf", {}, found(**changes).model_dump(mode="json")) for changes in ({"alarms": ()}, {})
    )
    assert list(RLHF.news(quiet, loud)) == ["! step 31: 60% hold the same word."]
    assert not list(RLHF.news(loud, loud))


def test_a_run_that_was_ended_by_a_guard_says_so(workbench: Workbench) -> None:
    told = said(ended(workbench, "rlhf", {}, found(stopped_by="kl", step=12).model_dump(mode="json")))
    assert "stopped at step 12 by the guard of kl" in told
