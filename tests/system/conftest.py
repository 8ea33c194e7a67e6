"""A workbench that runs for many tests, and ones that a test may treat as it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.house import House


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes houses that are gone with the test."""
    houses: list[House] = []

    def make(name: str = "home", **settings: object) -> House:
        houses.append(House(tmp_path / name, **settings))
        return houses[-1]

    yield make
    for house in houses:
        house.kill()


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """A home in which nothing runs yet."""
    return build().pretend_model()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A workbench that runs, for tests that leave it as it is."""
    house = House(tmp_path_factory.mktemp("running") / "home").pretend_model()
    try:
        house.start()
        yield house
    finally:
        house.kill()
