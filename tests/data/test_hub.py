"""Data sets of the Hub: the files of a split are found, fetched as they are read, and read again offline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas  # type: ignore[import-untyped]
import pytest

from core.data.hub_files import choose_files
from core.data.read import read_data
from core.data.spec import DataFields
from core.data.values import Data
from core.errors import BadInput, HubAway, HubRefused, ModelNotFound, NotDownloaded
from core.hub.access import Access
from core.hub.line import Line
from core.hub.trouble import Stopped
from tests.data.making import written
from tests.hub.server import Hub, hub_server

NAME = "tests/some-rows"
CARD = """---
license: cc-by-4.0
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: "test.jsonl"
---
# Rows
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as served:
        yield served


@pytest.fixture
def repository(hub: Hub, tmp_path: Path) -> Path:
    """Three shards to train on, a test split, and what is not to be fetched."""
    folder = tmp_path / "served"
    (folder / "data").mkdir(parents=True)
    for nth in range(3):
        rows = pandas.DataFrame({"text": [f"shard {nth} row {n}" for n in range(50)]})
        rows.to_parquet(folder / "data" / f"train-{nth:05d}-of-00003.parquet")
    written(folder / "test.jsonl", {"text": "a test"}, {"text": None}, {"text": "another"})
    (folder / "README.md").write_text(CARD)
    (folder / "rows.py").write_text("raise SystemExit('run')")
    hub.add(NAME, folder, kind="datasets", revisions=("v1",))
    return folder


@pytest.fixture
def access(hub: Hub, tmp_path: Path) -> Access:
    return Access(hub.endpoint, tmp_path / "cache")


def fetched(access: Access, tell: Callable[[str], None] = lambda message: None, **fields: Any) -> Data:
    with Line(access) as line:
        return read_data(DataFields(**{"data": NAME, **fields}), access.cache, tell, line)


def asked_for(hub: Hub) -> list[str]:
    return [one.path for one in hub.requests if "/resolve/" in one.path and "/cdn/" not in one.path]


def test_the_shards_of_a_split_are_read_in_order_with_their_licence(access: Access, hub: Hub, repository: Path) -> None:
    told: list[str] = []
    data = fetched(access, told.append)
    assert [row.fields["text"] for row in data.rows] == [f"shard {nth} row {n}" for nth in range(3) for n in range(50)]
    assert [data.rows[0].number, data.rows[-1].number] == [1, 150]
    assert data.licence == "cc-by-4.0"
    assert data.source.startswith(f"the Hub: {NAME}@")
    assert any("fetching data/train-00002-of-00003.parquet" in one for one in told)
    assert not [one for one in asked_for(hub) if one.endswith((".py", "test.jsonl"))]


def test_what_is_here_is_not_fetched_again(access: Access, hub: Hub, repository: Path) -> None:
    first = fetched(access)
    hub.requests.clear()
    assert fetched(access).fingerprint == first.fingerprint
    assert not asked_for(hub)


def test_only_the_shards_that_are_needed_are_fetched(access: Access, hub: Hub, repository: Path) -> None:
    assert len(fetched(access, max_rows=60, eval_share=0.0).rows) == 60
    assert [one[-30:] for one in asked_for(hub) if one.endswith(".parquet")] == [
        "data/train-00000-of-00003.parquet"[-30:],
        "data/train-00001-of-00003.parquet"[-30:],
    ]


def test_a_split_in_one_file_lists_its_bad_lines(access: Access, repository: Path) -> None:
    data = fetched(access, data_split="test")
    assert [(bad.number, bad.reason) for bad in data.bad] == [(2, "has null as text, not a text")]
    assert data.counted == "line"


def test_offline_reads_what_was_fetched_and_says_what_is_missing(access: Access, repository: Path) -> None:
    offline = dataclasses.replace(access, is_offline=True)
    with pytest.raises(HubAway, match="HF_HUB_OFFLINE is set"):
        fetched(offline)
    whole = fetched(access, max_rows=60)
    told: list[str] = []
    assert fetched(offline, told.append, max_rows=60).fingerprint == whole.fingerprint
    assert any("as it was fetched before" in one for one in told)
    with pytest.raises(NotDownloaded, match=r"only in part: data/train-00002-of-00003\.parquet is missing"):
        fetched(offline)


def test_a_hub_that_does_not_answer_is_no_hindrance_to_what_is_here(access: Access, hub: Hub, repository: Path) -> None:
    whole = fetched(access)
    hub.faults.status = 503
    assert fetched(access).fingerprint == whole.fingerprint


def test_a_revision_is_fetched_by_its_name(access: Access, repository: Path) -> None:
    assert fetched(access, data_revision="v1").rows
    assert fetched(dataclasses.replace(access, is_offline=True), data_revision="v1").rows
    with pytest.raises(ModelNotFound, match="no such revision"):
        fetched(access, data_revision="v9")


def test_who_may_not_have_it_is_told_how_to_get_it(access: Access, hub: Hub, repository: Path) -> None:
    hub.add("meta/gated", repository, kind="datasets", gated=True)
    with pytest.raises(HubRefused, match="datasets/meta/gated is gated") as caught:
        fetched(access, data="meta/gated")
    assert f"{hub.endpoint}/datasets/meta/gated" in caught.value.hint
    assert fetched(dataclasses.replace(access, token="hf_right"), data="meta/gated").rows
    with pytest.raises(ModelNotFound, match="The Hub has no data set tests/some-row, or it is private") as missing:
        fetched(access, data="tests/some-row")
    assert f"Did you mean {NAME}?" in missing.value.hint


def test_a_cut_line_ends_a_fetch(access: Access, repository: Path) -> None:
    with Line(access) as line, pytest.raises(Stopped):
        read_data(DataFields(data=NAME), access.cache, lambda message: line.cut(), line)


def config(name: str, files: Any, **more: Any) -> dict[str, Any]:
    return {"config_name": name, "data_files": files, **more}


@pytest.mark.parametrize(
    ("names", "card", "config", "split", "found"),
    [
        (["train.csv", "test.csv"], {}, "", "train", ["train.csv"]),
        (["rows.csv"], {}, "", "train", ["rows.csv"]),
        (["a/b.jsonl", "README.md", "x.py", "dataset_infos.json"], {}, "", "train", ["a/b.jsonl"]),
        (["data/train-0.parquet", "train.csv"], {}, "", "train", ["data/train-0.parquet"]),
        (["data/val.jsonl", "data/train.jsonl"], {}, "", "validation", ["data/val.jsonl"]),
        (["en/train.jsonl", "de/train.jsonl"], {}, "de", "train", ["de/train.jsonl"]),
        (["default/train/0.parquet"], {}, "", "train", ["default/train/0.parquet"]),
        (["a.jsonl", "b.jsonl"], {"configs": [config("default", "b.jsonl")]}, "", "train", ["b.jsonl"]),
        (["a.csv", "b.csv"], {"configs": [config("x", ["b.csv", "a.csv"])]}, "", "train", ["a.csv", "b.csv"]),
        (["a.csv", "b.csv"], {"configs": [config("x", {"dev": "b.csv"})]}, "x", "dev", ["b.csv"]),
        (["x/a.csv"], {"configs": [config("x", [{"split": "dev", "path": "**/a.csv"}])]}, "", "dev", ["x/a.csv"]),
        (["a.csv"], {"configs": [config("x", "a.csv"), config("y", "a.csv", default=True)]}, "", "train", ["a.csv"]),
        (["e/train.csv", "f/train.csv"], {"configs": [{"data_dir": "f"}]}, "", "train", ["f/train.csv"]),
        (["train.csv"], {"configs": "nonsense"}, "", "train", ["train.csv"]),
        (["train.csv", "../train.csv", "/train.csv", ".git/train.csv"], {}, "", "train", ["train.csv"]),
    ],
)  # fmt: skip
def test_the_files_of_a_split_are_found(
    names: list[str], card: dict[str, Any], config: str, split: str, found: list[str]
) -> None:
    assert choose_files(names, card, config, split, NAME) == found


@pytest.mark.parametrize(
    ("names", "card", "config", "split", "said"),
    [
        (["a.bin"], {}, "", "train", "holds no Parquet"),
        (["train.csv", "test.csv"], {}, "", "dev", "has no split dev. It has: test, train"),
        (["train.csv"], {}, "fr", "train", "has no configuration fr"),
        (["en/train.csv", "de/train.csv"], {}, "", "train", "folders with train: choose one by data_config. de, en"),
        (["a.csv"], {"configs": [config("x", "a.csv")]}, "y", "train", "no configuration y. It has: x"),
        (["a.csv"], {"configs": [config("x", "a.csv"), config("y", "a.csv")]}, "", "train", "2 configurations: choose"),
        (["a.csv"], {"configs": [config("x", "a.csv")]}, "", "test", "has no split test. It has: train"),
        (["a.csv"], {"configs": [config("x", "https://other/a.csv")]}, "", "train", "that it does not hold"),
        (["a.csv"], {"configs": [config("x", "../../etc/passwd")]}, "", "train", "that it does not hold"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_beside_what_is(
    names: list[str], card: dict[str, Any], config: str, split: str, said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        choose_files(sorted(names, reverse=True), card, config, split, NAME)
    assert said in f"{caught.value.message} {caught.value.hint}"
