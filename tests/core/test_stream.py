"""Live text is put together right whatever happens to its entries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from core.queue import broker_url
from core.stream import Keys, Transcript
from tests.support import eventually
from worker.publisher import Publisher


def entry(attempt: int, offset: int, text: str) -> dict[str, str]:
    return {"a": str(attempt), "o": str(offset), "t": text}


@given(st.lists(st.text(min_size=1, max_size=5), max_size=20), st.randoms(use_true_random=False))
def test_entries_that_come_twice_change_nothing(pieces: list[str], chance: random.Random) -> None:
    transcript, entries, offset = Transcript(), [], 0
    for piece in pieces:
        entries.append(entry(1, offset, piece))
        offset += len(piece)
    for n, one in enumerate(entries):
        transcript.apply(one)
        transcript.apply(entries[chance.randrange(n + 1)])
    assert transcript.text == "".join(pieces)


def test_a_late_entry_of_a_lost_attempt_is_passed_over() -> None:
    transcript = Transcript()
    for one in (entry(1, 0, "old"), entry(2, 0, "new"), entry(1, 3, " words")):
        transcript.apply(one)
    assert (transcript.attempt, transcript.text) == (2, "new")


def test_text_behind_a_gap_waits_for_the_writer_to_start_again() -> None:
    transcript = Transcript()
    for one in (entry(1, 0, "a"), entry(1, 5, "f"), entry(1, 0, "abcdef")):
        transcript.apply(one)
    assert transcript.text == "abcdef"


def test_a_ring_is_no_text() -> None:
    transcript = Transcript()
    transcript.apply({"ring": ""})
    assert transcript == Transcript()


@pytest.fixture
def keys(redis_prefix: str) -> Keys:
    return Keys(redis_prefix)


@pytest.fixture
def publisher(redis_server: str, keys: Keys) -> Iterator[Publisher]:
    started = Publisher(redis_server, keys)
    yield started
    started.close()


def read(url: str, keys: Keys, job_id: str) -> Transcript:
    transcript = Transcript()
    entries: Any = redis.Redis.from_url(url, decode_responses=True).xrange(keys.job(job_id))
    for _, fields in entries:
        transcript.apply(fields)
    return transcript


def test_a_publisher_writes_every_piece_once(redis_server: str, keys: Keys, publisher: Publisher) -> None:
    for n in range(200):
        publisher.write("j", 1, f"{n} ")
    whole = "".join(f"{n} " for n in range(200))
    assert eventually(lambda: read(redis_server, keys, "j").text == whole)


def test_a_stream_that_vanished_is_written_again_from_the_first_character(
    redis_server: str, keys: Keys, publisher: Publisher
) -> None:
    publisher.write("j", 1, "one ")
    eventually(lambda: read(redis_server, keys, "j").text)
    redis.Redis.from_url(redis_server).delete(keys.job("j"))
    publisher.write("j", 1, "two")
    assert eventually(lambda: read(redis_server, keys, "j").text == "one two")


def test_a_job_that_is_over_leaves_nothing_in_the_publisher(keys: Keys, publisher: Publisher) -> None:
    publisher.write("j", 1, "text")
    publisher.ring("j", is_over=True)
    eventually(lambda: not publisher._texts)


def test_streams_expire(redis_server: str, keys: Keys, publisher: Publisher) -> None:
    publisher.write("j", 1, "text")
    client = redis.Redis.from_url(redis_server)
    assert eventually(lambda: 0 < client.ttl(keys.job("j")) <= 900)


@pytest.mark.parametrize(
    ("given_url", "celery_url"),
    [
        ("redis://:pw@host:6379/0", "redis://:pw@host:6379/0"),
        ("unix://:a%2Fb@/tmp/x.sock?db=0", "redis+socket://:a%2Fb@/tmp/x.sock?virtual_host=0"),
        ("unix:///tmp/x.sock?db=0", "redis+socket:///tmp/x.sock?virtual_host=0"),
    ],
)
def test_celery_reaches_the_server_that_redis_py_reaches(given_url: str, celery_url: str) -> None:
    assert broker_url(given_url) == celery_url
