"""The judge that is no neural model: it tells what words tell, and says how well."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from core.data.values import Row
from core.errors import BadInput
from core.llm.judge import fit_judge, judge_of

GOOD, BAD = ("moving", "fine", "lovely", "bright"), ("dull", "poor", "awful", "grim")


def reviews(n_rows: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Sentences with one word of praise or blame; a tenth of them say the opposite."""
    numbers = random.Random(seed)
    labels = [numbers.choice(("positive", "negative")) for _ in range(n_rows)]
    said = [label if numbers.random() > 0.1 else {"positive": "negative"}.get(label, "positive") for label in labels]
    return [
        f"film {nth} was {numbers.choice(GOOD if word == 'positive' else BAD)} to see" for nth, word in enumerate(said)
    ], labels


def test_it_learns_which_words_go_with_a_label_and_says_how_well() -> None:
    texts, labels = reviews(400)
    judge = fit_judge(texts, labels, seed=0)
    assert judge.accuracy.low < 0.9 < judge.accuracy.high
    praise, blame = judge.probability(["a lovely film", "an awful film"])
    assert praise > 0.8
    assert blame < 0.2
    assert judge.share(["lovely", "fine", "grim", "moving"]).value == 0.75
    assert judge.probability([]).shape == (0,)


def test_it_is_the_same_each_time() -> None:
    texts, labels = reviews(100)
    one, other = (fit_judge(texts, labels, seed=3) for _ in range(2))
    assert np.array_equal(one.probability(texts), other.probability(texts))
    assert one.accuracy == other.accuracy


def test_it_learns_from_labelled_rows() -> None:
    texts, labels = reviews(60)
    rows = [
        Row(nth, {"text": text, "label": label}) for nth, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    assert judge_of(rows, 0).n_rows == 60
    with pytest.raises(BadInput, match="text and a label"):
        judge_of([Row(1, {"text": "a"})], 0)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["negative"] * 20, "No row has the label positive"),
        (["positive"] * 20, "All rows have the label"),
        (["positive"] * 18 + ["negative"] * 2, "negative has 2 texts"),
    ],
)
def test_what_it_cannot_learn_from_is_refused(labels: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        fit_judge([f"text {nth}" for nth in range(20)], labels, 0)


def test_scikit_learn_is_imported_only_once_one_is_asked_for() -> None:
    code = "import sys, core.llm.judge; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
