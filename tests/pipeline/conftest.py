from __future__ import annotations

import pytest

from core.settings import Settings
from tests.pipeline.kinds import MODULE


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the kinds that hand something on."""
    return settings.model_copy(update={"extra_kinds": f"{settings.extra_kinds},{MODULE}"})
