"""`workbench estimate`, as people and programs use it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.cli import run
from core.cli_estimate import estimate
from tests.memory.support import configs, truth


@pytest.fixture
def mpt(tmp_path: Path) -> str:
    """The path of a config.json."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(configs()["mosaicml/mpt-7b"]))
    return str(file)


def test_a_program_gets_every_figure_with_its_formula(mpt: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", mpt, "--dtype", "nf4", "--context", "2048", "--json"]) == 0
    said, row = json.loads(capsys.readouterr().out), truth()["mosaicml/mpt-7b"]
    assert said["parameters"] == int(row["params"])
    assert said["weights_bytes"].items() >= {
        "float32": int(row["fp32_bytes"]), "bfloat16": int(row["bf16_bytes"]), "int8": int(row["int8_bytes"]),
        "nf4": int(row["nf4_bytes"]), "nf4-dq": int(row["nf4dq_bytes"]),
    }.items()  # fmt: skip
    assert said["kv_cache_bytes_per_token"] == 524_288
    assert said["parts"][0]["formula"] == "6.44 B in 128 linear layers × ½ byte = 3.22 GB"
    t4 = said["cards"][0]
    assert (t4["card"], t4["by_precision"]["bfloat16"]["verdict"]) == ("T4 16 GB", "exceeds")
    assert t4["recommended"] == "int8"


def test_a_person_gets_a_table_of_parts_and_one_of_cards(mpt: str) -> None:
    shown = CliRunner().invoke(estimate, [mpt, "--context", "2048"], env={"COLUMNS": "200"}).output
    assert "6.65 B × 2 bytes = 13.30 GB" in shown
    assert "The model was made for 2,048 tokens." in shown
    assert re.search(r"T4 16 GB +exceeds +exceeds +fits +fits +fits +int8 +1,684 +0", shown)
    assert "Smallest card that holds it with room to spare: L4 24 GB." in shown


def test_a_folder_is_understood_too(mpt: str) -> None:
    shown = CliRunner().invoke(estimate, [str(Path(mpt).parent), "--json"]).output
    assert json.loads(shown)["model_type"] == "mpt"


def test_a_public_model_is_known_by_its_name_and_a_slip_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", "mosaicml/mpt-7b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 6_649_286_656
    assert run(["estimate", "mosaicml/mpt-7B"]) != 0
    assert capsys.readouterr().err.count("\n") == 1


def test_a_training_is_reckoned_with_its_adapter_and_optimizer(mpt: str) -> None:
    asked = [mpt, "--train", "qlora", "--dtype", "nf4", "--rank", "16", "--json"]
    said = json.loads(CliRunner().invoke(estimate, asked).output)
    assert {"adapter", "gradients", "optimizer", "activations"} <= {one["name"] for one in said["parts"]}
    assert list(said["cards"][0]["by_precision"]) == ["int8", "nf4", "nf4-dq"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--dtype", "int3"], "bad_input"),
        (["--attention", "sdpa"], "bad_input"),
        (["--context", "0"], "bad_input"),
        (["--train", "qlora"], "bad_input"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(
    mpt: str, arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["estimate", mpt, *arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == code


def test_a_hostile_config_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"model_type": "llama", "num_hidden_layers": 1000000000000}')
    assert run(["estimate", str(file)]) == 1
    assert capsys.readouterr().err.startswith("config.json: num_hidden_layers is 1000000000000; it must lie between")
