"""`workbench doctor --gpu`: a real model is loaded and worked with in a process of its own, and judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core import cli
from core.prove import Proof, begin, prove


def proof(check: str, predicted: int, measured: int, *, on_card: bool) -> Proof:
    return Proof("nf4", check, check, predicted, measured, on_card)


def test_a_peak_may_not_lie_more_than_three_percent_above_its_prediction() -> None:
    assert proof("decode", 98, 100, on_card=False).passes
    assert not proof("decode", 96, 100, on_card=False).passes
    assert proof("decode", 109, 100, on_card=False).passes
    assert not proof("decode", 111, 100, on_card=False).passes


def test_a_card_is_judged_more_strictly_than_a_host() -> None:
    assert proof("held", 95, 100, on_card=False).passes
    assert not proof("held", 98, 100, on_card=True).passes
    assert proof("load peak", 1029, 1000, on_card=True).passes
    assert not proof("load peak", 1031, 1000, on_card=True).passes


@pytest.fixture(scope="module")
def report_of_nf4(models_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """The exit code, and the home with the report."""
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(models_home / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(home))
        return cli.run(["doctor", "--gpu", "--dtype", "nf4"]), home


@pytest.mark.nightly
def test_the_built_in_model_is_proved_and_the_report_kept(report_of_nf4: tuple[int, Path]) -> None:
    code, home = report_of_nf4
    kept = {path.suffix: path for path in (home / "reports").iterdir()}
    said = json.loads(kept[".json"].read_text())
    assert (code == 0) == said["passes"]
    checks = {row["check"] for row in said["proofs"]}
    assert checks == {"weights", "load peak", "held", "decode", "prefill"}
    exact = next(row for row in said["proofs"] if row["check"] == "weights")
    assert exact["predicted"] == exact["measured"] > 10**8
    text = kept[".txt"].read_text()
    assert "No card is here" in text or said["machine"]["memory_kind"] == "gpu"
    assert "PASS" in text
    assert "flash_attention_2 " not in text


def test_a_model_that_is_not_there_fails_with_its_sentence(tmp_path: Path) -> None:
    report = begin(tmp_path, "no/such-model")
    lines = [one.line() for one in prove(tmp_path, report, ("float32",), lambda said: None)]
    assert len(lines) == 1
    assert "FAIL" in lines[0]
    assert "no/such-model" in lines[0]
    assert not report.passes
