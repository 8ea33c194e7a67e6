"""The split follows from the rows and the seed, and the built-in reviews are what they were when they were measured."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from core.data.read import read_data
from core.data.spec import DataFields
from core.data.values import Data, Format
from core.errors import Unavailable
from tests.data.making import read, written

ROWS = [{"text": f"row {n % 90}"} for n in range(100)]  # ten are there twice


def texts(rows: tuple[object, ...]) -> set[str]:
    return {row.fields["text"] for row in rows}  # type: ignore[attr-defined]  # a set of either side of the split


def test_a_share_is_set_aside_whatever_the_order(tmp_path: Path) -> None:
    data = read(written(tmp_path / "a.jsonl", *ROWS), eval_share=0.2)
    shuffled = Random(1).sample(ROWS, len(ROWS))
    again = read(written(tmp_path / "b.jsonl", *shuffled), eval_share=0.2)
    assert texts(data.evaluation) == texts(again.evaluation)
    assert len(texts(data.evaluation)) == 18
    assert data.fingerprint != again.fingerprint


def test_copies_of_a_row_stay_together_and_are_counted(tmp_path: Path) -> None:
    data = read(written(tmp_path / "a.jsonl", *ROWS), eval_share=0.5)
    assert data.n_duplicates == 10
    assert not texts(data.train) & texts(data.evaluation)
    assert len(data.train) + len(data.evaluation) == len(data.rows) == 100


def test_another_seed_sets_others_aside(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *ROWS)
    assert texts(read(path, split_seed=1).evaluation) != texts(read(path, split_seed=2).evaluation)


@pytest.mark.parametrize(("share", "n_rows", "n_aside"), [(0.01, 2, 1), (0.5, 2, 1), (0.5, 3, 2)])
def test_of_few_rows_one_is_set_aside_and_one_is_left(tmp_path: Path, share: float, n_rows: int, n_aside: int) -> None:
    data = read(written(tmp_path / "a.jsonl", *ROWS[:n_rows]), eval_share=share)
    assert (len(data.train), len(data.evaluation)) == (n_rows - n_aside, n_aside)


def test_without_a_share_all_is_trained_on(tmp_path: Path) -> None:
    data = read(written(tmp_path / "a.jsonl", {"text": "one"}), eval_share=0.0)
    assert (data.train, data.evaluation) == (data.rows, ())


@pytest.fixture(scope="module")
def reviews(models_home: Path) -> dict[str, Data]:
    names = ("reviews", "reviews-labelled", "reviews-graded", "reviews-preferences")
    try:
        return {name: read_data(DataFields(data=name), models_home, lambda message: None) for name in names}
    except Unavailable as error:
        pytest.skip(f"no package index: {error.message}")


def test_the_built_in_reviews_are_those_that_were_measured(reviews: dict[str, Data]) -> None:
    assert [len(data.rows) for data in reviews.values()] == [10_605, 10_043, 10_605, 3_027]
    assert not any(data.bad for data in reviews.values())
    assert reviews["reviews"].format is Format.TEXT
    assert reviews["reviews"].columns == ("text", "rating", "label")
    labels = Counter(row.fields["label"] for row in reviews["reviews-labelled"].rows)
    assert labels == {"positive": 4_982, "negative": 5_061}
    for row in reviews["reviews-labelled"].rows:
        assert (row.fields["rating"] > 0.5) == (row.fields["label"] == "positive")
        assert abs(row.fields["rating"]) > 0.5
    assert all(row.fields["label"] == row.fields["rating"] for row in reviews["reviews-graded"].rows)
    assert reviews["reviews"].licence == "MIT"


def test_a_preferred_review_begins_like_the_other_and_is_rated_higher(reviews: dict[str, Data]) -> None:
    ratings = {row.fields["text"]: row.fields["rating"] for row in reviews["reviews-graded"].rows}
    used: Counter[str] = Counter()
    for row in reviews["reviews-preferences"].rows:
        better, worse = (row.fields["prompt"] + row.fields[side] for side in ("chosen", "rejected"))
        assert ratings[better] > 0.5
        assert ratings[worse] < -0.5
        assert 1 <= len(row.fields["prompt"].split(" ")) <= 4
        used.update((better, worse))
    assert max(used.values()) == 1


def test_the_preferred_reviews_are_not_the_longer_ones(reviews: dict[str, Data]) -> None:
    sizes = [[len(row.fields[side]) for row in reviews["reviews-preferences"].rows] for side in ("chosen", "rejected")]
    assert abs(sum(sizes[0]) / sum(sizes[1]) - 1) < 0.1


def test_some_of_the_built_in_reviews_are_from_all_over_the_table(models_home: Path) -> None:
    fields = DataFields(data="reviews-labelled", max_rows=300)
    rows = read_data(fields, models_home, lambda _: None).rows
    assert Counter(row.fields["label"] for row in rows)["positive"] == pytest.approx(150, abs=15)
    assert len({row.number for row in rows}) == 300
