from __future__ import annotations

from pathlib import Path

import pytest

from core.access import Who
from core.jobs import Kinds
from core.jobs.pipeline import PipelineSpec
from core.pipeline.presets import BY_NAME, PRESETS
from core.pipelining import Pipelining
from core.preset import Preset
from core.spec import parse_spec
from core.store import Store

TRAINED = ("sft", "rlhf")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda one: one.name)
def test_each_preset_is_a_pipeline_that_can_be_submitted(preset: Preset, sqlite_url: str, tmp_path: Path) -> None:
    spec = parse_spec(PipelineSpec, preset.fields)
    pipelining = Pipelining(Store.open(sqlite_url), Kinds(), tmp_path, lambda queue, job: None, lambda job: None)
    pipelining.check(spec.steps, Who("ana"))
    assert preset.title
    assert preset.help.endswith(".")


@pytest.mark.parametrize("name", ["demo", "smoke", "imdb"])
def test_every_training_answers_the_same_prompts_with_the_same_seed(name: str) -> None:
    trained = [one["fields"] for one in BY_NAME[name].fields["steps"] if one["kind"] in TRAINED]
    assert len({(tuple(one["prompts"]), one["max_new_tokens"], one["seed"]) for one in trained}) == 1
    assert len(trained) == 2


@pytest.mark.parametrize("name", ["demo", "smoke"])
def test_the_judge_sees_other_rows_than_the_reward(name: str) -> None:
    steps = {one["name"]: one["fields"] for one in BY_NAME[name].fields["steps"]}
    assert steps["reward"]["eval_share"] == steps["rlhf"]["judge_share"]
    assert steps["reward"]["data"] == steps["rlhf"]["judge_data"]
