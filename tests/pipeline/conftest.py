from __future__ import annotations

from pathlib import Path

import pytest

from core.settings import Settings
from core.store import Store
from tests.pipeline.hands import Hands
from tests.pipeline.kinds import MODULE


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the kinds that hand something on."""
    return settings.model_copy(update={"extra_kinds": f"{settings.extra_kinds},{MODULE}"})


@pytest.fixture
def hands(store: Store, tmp_path: Path) -> Hands:
    """On SQLite and PostgreSQL."""
    return Hands(store, tmp_path)
