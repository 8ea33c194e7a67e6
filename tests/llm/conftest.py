"""The real built-in model, loaded once, and engines that are closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.catalog import BUILTIN_NAME, resolve
from core.llm.engine import Engine
from core.llm.loading import LoadedModel, load
from tests.llm.tiny import as_loaded, tiny_model


@pytest.fixture(scope="session")
def builtin(models_home: Path) -> LoadedModel:
    """The built-in model, real weights, on the processor."""
    return load(resolve(BUILTIN_NAME, models_home), device="cpu")


@pytest.fixture
def engine_of() -> Iterator[Callable[..., Engine]]:
    """Makes engines of loaded models and closes them when the test ends."""
    engines: list[Engine] = []

    def make(loaded: LoadedModel, **options: Any) -> Engine:
        engines.append(Engine(loaded, **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def tiny() -> LoadedModel:
    """A tiny random llama that never ends by itself."""
    return as_loaded(tiny_model("llama"))
