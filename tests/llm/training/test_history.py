"""What a real run says of itself while it goes on: its history, and how busy the machine was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.jobs.sft import SftSpec
from core.llm.training.record import Record
from core.training.rlhf_values import Alarm, RlhfResult
from tests.llm.training.door import Door, make_model, trained, write_rows


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def test_a_run_tells_of_its_trial_its_checkpoints_and_where_it_went_on(model: str, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl")
    first = Door(tmp_path)
    first.stops = lambda door: ("train", 3) in door.metrics
    trained(first, model, rows)
    told = [(kind, data.get("step")) for kind, data in first.events if kind != "noted"]
    stopped_at = told[-1][1]
    assert stopped_at in (3, 4)
    assert told == [("preflight", None), ("saved", 2), ("saved", stopped_at)]
    facts = dict(first.events)
    assert facts["preflight"]["peak_bytes"] > 0
    assert facts["saved"]["n_bytes"] > 0
    notes = [data["text"] for kind, data in first.events if kind == "noted"]
    assert notes == list((first.kept or {})["notes"])

    second = Door(tmp_path, attempt=2, kept=first.kept)
    second.metrics = dict(first.metrics)
    trained(second, model, rows)
    told = [(kind, data.get("step")) for kind, data in second.events]
    assert told == [("went_on", stopped_at), *[("saved", step) for step in (4, 6) if step > stopped_at]]
    for step in range(1, 7):
        assert second.metrics["machine", step].values.keys() >= {"memory_bytes", "cpu_percent", "host_bytes"}


def test_each_sign_of_trouble_is_told_once(tmp_path: Path) -> None:
    door: Any = Door(tmp_path)
    record = Record(SftSpec(), door, RlhfResult())
    first, second = (Alarm(step=step, sign="kl", message=f"KL is {step}.") for step in (3, 5))
    record.keep(alarms=(first,))
    record.keep(alarms=(first, second), kl=5.0)
    record.keep(alarms=(first, second))
    assert door.events == [("alarm", {"step": 3, "text": "KL is 3."}), ("alarm", {"step": 5, "text": "KL is 5."})]
