"""The public models that come with the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.catalog import BUILTIN_NAME
from core.cli_estimate import estimate
from core.errors import ModelNotFound
from core.memory.known import config_of, known_model, names, open_here
from tests.memory.support import configs, truth


def test_each_is_the_config_that_its_figures_were_checked_with() -> None:
    assert len(names()) >= 10
    for name in set(names()) - {BUILTIN_NAME}:
        assert config_of(name) == configs()[name]
        assert known_model(name).table.parameters == int(truth()[name]["params"])


def test_the_built_in_model_is_known_before_it_is_unpacked(tmp_path: Path) -> None:
    assert open_here(BUILTIN_NAME, tmp_path).table.parameters == 134_515_008


def test_the_command_line_knows_their_names() -> None:
    said = json.loads(CliRunner().invoke(estimate, ["mosaicml/mpt-7b", "--json"]).output)
    assert (said["model_type"], said["parameters"]) == ("mpt", 6_649_286_656)


@pytest.mark.parametrize("name", ["mosaicml/mpt-7", "../configs/x", "x" * 5000, "~nobody-there/x", "a\0b", ""])
def test_any_other_name_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        config_of(name)
    with pytest.raises(ModelNotFound):
        open_here(name, tmp_path)
