"""The recordings that come with the program: each can be shown, and none holds what is private."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from core.jobs import Kinds
from core.recording.file import Shelf, read
from core.recording.private import Private
from core.recording.replay import Replay
from core.spec import parse_spec

FOLDER = Path(str(files("core"))) / "recordings"
PATHS = sorted(FOLDER.glob("*.json.gz"))
MOST_BYTES = 1_000_000


def test_an_answer_a_comparison_trainings_and_a_pipeline_come_with_the_program_and_are_small() -> None:
    kinds = {read(path).whole.kind for path in PATHS}
    assert {"generate", "compare", "sft", "reward", "pipeline"} <= kinds
    assert sum(path.stat().st_size for path in PATHS) < MOST_BYTES
    assert {name for name, _, _ in Shelf([FOLDER]).readable()} == {path.name.partition(".")[0] for path in PATHS}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_it_is_named_as_its_file_dated_and_says_on_which_machine_it_ran(path: Path) -> None:
    found = read(path)
    assert path.name == f"{found.name}.json.gz"
    assert found.machine.device
    assert found.commit
    assert found.recorded_at > found.whole.created_at > 1.7e9
    assert all(one.job.owner == "recorded" and one.job.worker is None for one in found.jobs)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_nothing_in_it_looks_private(path: Path) -> None:
    found = read(path).model_dump(mode="json")
    assert Private(hosts=(), users=(), places=()).clean(found) == found
    assert not re.search(r"/(root|home|Users|tmp)/|\bhf_|\bvm/|/batch/|/interactive/", read(path).model_dump_json())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_job_of_it_has_a_spec_that_this_version_knows_and_can_be_replayed(path: Path) -> None:
    found, kinds = read(path), Kinds()
    for one in found.jobs:
        parse_spec(kinds[one.job.kind].spec, one.job.spec)
        replay = Replay(found, one.job.step or "")
        assert all(replay.at(at).id == one.job.id for at in replay.moments())
