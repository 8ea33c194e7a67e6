"""A judge of texts that is no neural model: how often words and pairs of them stand with a label.

It learns from other rows than the reward that it looks behind, and sees none of what a language model sees: what only
pleases the reward does not please it too. scikit-learn is imported once one is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.comparison.values import Interval
from core.data.values import Row
from core.errors import BadInput
from core.llm.statistics import wilson

FOLDS, STRENGTH = 5, 10.0
MANY = 1_000  # texts: beyond it words that are in one alone tell nothing
POSITIVE, OTHER = "positive", "\0"  # all other labels are one


@dataclass(frozen=True)
class Judge:
    """What says how likely a text is of one label.

    Attributes:
        accuracy: the share of its rows that it tells right before it has seen them, in five parts, with its interval.
        n_rows: distinct texts that it learned from.
    """

    label: str
    accuracy: Interval
    n_rows: int
    _counter: Any
    _model: Any

    def probability(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """How likely each text is of the label, (N,), 0 to 1."""
        if not texts:
            return np.zeros(0)
        column = list(self._model.classes_).index(self.label)
        found: NDArray[np.float64] = self._model.predict_proba(self._counter.transform(texts))[:, column]
        return found

    def share(self, texts: Sequence[str]) -> Interval:
        """The share of texts that are more likely of the label than not, with its interval."""
        return wilson(int((self.probability(texts) > 0.5).sum()), len(texts))


def fit_judge(texts: Sequence[str], labels: Sequence[str], seed: int, positive: str = POSITIVE) -> Judge:
    """Learn from texts and their labels; of a text that is there twice the first label counts.

    Raises:
        BadInput: a label has too few texts, or none has the name of `positive`.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    label_of = dict(zip(reversed(texts), reversed(labels), strict=True))
    _check(Counter(label_of.values()), positive)
    distinct, given = list(label_of), [label if label == positive else OTHER for label in label_of.values()]
    counter = CountVectorizer(ngram_range=(1, 2), min_df=2 if len(distinct) > MANY else 1)
    try:
        counted = counter.fit_transform(distinct)  # once: that takes most of the time, and knows no label
    except ValueError as error:
        raise BadInput("The judge's texts hold no words.", "Take reviews-labelled, for example.") from error
    model = make_pipeline(
        TfidfTransformer(sublinear_tf=True), LogisticRegression(C=STRENGTH, solver="liblinear", random_state=seed)
    )
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    said = cross_val_predict(model, counted, given, cv=parts)
    accuracy = wilson(int((said == np.array(given)).sum()), len(given))
    return Judge(positive, accuracy, len(given), counter, model.fit(counted, given))


def judge_of(rows: Sequence[Row], seed: int, positive: str = POSITIVE) -> Judge:
    """The same from labelled rows.

    Raises:
        BadInput: they have no labels, or too few of one.
    """
    if not rows or any("label" not in row.fields for row in rows):
        raise BadInput("A judge learns from rows with a text and a label.", "Take reviews-labelled, for example.")
    return fit_judge([row.fields["text"] for row in rows], [str(row.fields["label"]) for row in rows], seed, positive)


def _check(counts: Counter[str], positive: str) -> None:
    if positive not in counts:
        raise BadInput(f"No row has the label {positive}.", f"There are {', '.join(sorted(counts)[:20])}.")
    if len(counts) < 2:
        raise BadInput(f"All rows have the label {positive}: there is nothing to tell it from.")
    rarest, n_rows = min(counts.items(), key=lambda one: one[1])
    if n_rows < FOLDS:
        raise BadInput(f"The label {rarest} has {n_rows} texts, and a judge needs at least {FOLDS} of each.")
