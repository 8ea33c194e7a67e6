from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from core.store import Store
from core.store.claims import Kept
from core.store.jobs import NewJob
from core.training.tensorboard import as_events, file_name, tag_of, write_events
from core.values import Metric
from tests.web import trainings

Points = dict[tuple[str, int], tuple[float, float]]


def records(data: bytes) -> Iterator[Event]:
    """The events of a file as TensorBoard's own classes read them; each checksum is computed by another library."""
    at = 0
    while at < len(data):
        length_bytes = data[at : at + 8]
        (length,) = struct.unpack("<Q", length_bytes)
        body = data[at + 12 : at + 12 + length]
        assert struct.unpack("<I", data[at + 8 : at + 12])[0] == masked_crc32c(length_bytes)
        assert struct.unpack("<I", data[at + 12 + length : at + 16 + length])[0] == masked_crc32c(body)
        yield Event.FromString(body)
        at += 16 + length


def points(data: bytes) -> Points:
    """Time and value by tag and step; none comes twice."""
    found: Points = {}
    for event in records(data):
        for one in event.summary.value:
            assert (one.tag, event.step) not in found
            found[one.tag, event.step] = event.wall_time, one.simple_value
    return found


def narrowed(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def expected(metrics: list[Metric]) -> Points:
    return {
        (tag_of(one.sort, name), one.step): (one.at, narrowed(value))
        for one in metrics
        for name, value in one.values.items()
    }


def test_each_point_of_a_resumed_run_is_in_the_file_once(store: Store, tmp_path: Path) -> None:
    job = store.submit(NewJob(kind="sft", queue="batch", owner="ana", spec={}))[0].id
    assert store.claim("batch", "w", 30)
    store.keep(job, 1, Kept(metrics=trainings.metrics(40)))
    store.give_back(job, 1, "the worker stopped")
    assert store.claim("batch", "w", 30)
    store.rewind(job, 2, 20)
    store.keep(job, 2, Kept(metrics=[one.model_copy(update={"at": one.at + 500}) for one in trainings.metrics(60, 21)]))
    logged = store.metrics(job)
    path = write_events(tmp_path / "runs", logged)
    found = points(path.read_bytes())
    assert found == expected(logged)
    assert {tag for tag, _ in found} >= {"train/loss", "eval/loss", "eval/perplexity", "machine/memory_bytes"}
    assert [path.name] == [each.name for each in path.parent.iterdir()]


def test_the_file_begins_with_its_version(tmp_path: Path) -> None:
    metrics = trainings.metrics(2)
    first = next(records(as_events(metrics)))
    assert (first.file_version, first.wall_time) == ("brain.Event:2", metrics[0].at)
    assert file_name(metrics).startswith(f"events.out.tfevents.{int(metrics[0].at)}.")
    assert [event.file_version for event in records(as_events([]))] == ["brain.Event:2"]


def test_large_steps_long_names_and_values_beyond_a_float_are_kept_apart() -> None:
    name = "reward/" + "x" * 300
    logged = [Metric(step=3_000_000_000, values={name: -1e300, "kl": 1e-45, "é": 0.0}, at=1.5)]
    found = points(as_events(logged))
    assert found[f"train/{name}", 3_000_000_000] == (1.5, float("-inf"))
    assert found["train/é", 3_000_000_000] == (1.5, 0.0)


def test_it_is_written_again_as_the_run_goes_on(tmp_path: Path) -> None:
    write_events(tmp_path, trainings.metrics(10))
    path = write_events(tmp_path, trainings.metrics(30))
    assert len(list(tmp_path.iterdir())) == 1
    assert max(step for _, step in points(path.read_bytes())) == 30
