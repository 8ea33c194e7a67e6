"""Which models stay resident, with objects in place of engines that only know whether they were closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.catalog import ModelSource
from worker import pool as pools
from worker.pool import MAX_RESIDENT, Pool


class StandIn:
    def __init__(self, source: ModelSource) -> None:
        self.name = source.folder.name
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    made = [tmp_path / f"model-{n}" for n in range(MAX_RESIDENT + 1)]
    for folder in made:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    return [str(folder) for folder in made]


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    monkeypatch.setattr(pools, "_load", StandIn)
    return Pool(tmp_path)


def borrow(pool: Pool, folder: str) -> Any:
    return pool.borrow(folder, lambda message: None)


def test_a_model_is_loaded_once_for_all_who_ask(pool: Pool, folders: list[str]) -> None:
    assert borrow(pool, folders[0]) is borrow(pool, folders[0])


def test_the_model_that_was_idle_longest_goes_first(pool: Pool, folders: list[str]) -> None:
    engines = [borrow(pool, folder) for folder in folders[:MAX_RESIDENT]]
    for engine in engines:
        pool.give_back(engine)
    borrow(pool, folders[0])
    borrow(pool, folders[-1])
    assert [engine.is_closed for engine in engines] == [False, True]


def test_a_model_that_somebody_uses_stays(pool: Pool, folders: list[str]) -> None:
    engines = [borrow(pool, folder) for folder in folders]
    assert not any(engine.is_closed for engine in engines)
