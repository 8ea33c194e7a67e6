"""A part under `up`: started again when it dies, given up when it never starts."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import part as parts
from core.errors import SetupError
from core.part import Part, rotate
from tests.support import ROOT, eventually

MODULE = """\
import sys, time
print(sys.argv[1], flush=True)
time.sleep(float(sys.argv[2]))
sys.exit(int(sys.argv[3]))
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Part]]:
    """Makes parts that say a word, live for some seconds and end with a code."""
    monkeypatch.setattr(parts, "BACKOFF_S", (0.05,))
    (tmp_path / "a_part.py").write_text(MODULE)
    made: list[Part] = []

    def build(word: str, seconds: float, code: int, said: list[str] | None = None) -> Part:
        say = said.append if said is not None else print
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        arguments = (word, str(seconds), str(code))
        made.append(Part("a_part", *arguments, log=tmp_path / "logs" / "a.log", env={"PYTHONPATH": path}, say=say))
        return made[-1]

    yield build
    for part in made:
        part.kill()


def tended(part: Part, until: Callable[[], bool] = lambda: False) -> Callable[[], bool]:
    def look() -> bool:
        part.tend()
        return until()

    return look


def test_nobody_starts_a_part_that_was_never_asked_for(make: Callable[..., Part]) -> None:
    part = make("hello", 60, 0)
    part.tend()
    assert part.pid is None


def test_a_killed_part_comes_back_and_its_end_is_said_in_one_line(make: Callable[..., Part]) -> None:
    said: list[str] = []
    part = make("hello", 60, 0, said)
    part.start()
    first = part.pid
    assert first
    eventually(part.said)
    os.kill(first, signal.SIGKILL)
    eventually(tended(part, lambda: part.is_running and part.pid != first))
    assert len(said) == 1
    assert "ended with -9" in said[0]
    assert "hello" in said[0]


def test_what_it_says_with_code_3_before_it_was_ready_is_the_reason(make: Callable[..., Part]) -> None:
    part = make("The disk is full.", 0, 3)
    part.start()
    with pytest.raises(SetupError, match=r"^The disk is full\.$"):
        eventually(tended(part))


def test_a_part_that_was_ready_once_is_never_given_up(make: Callable[..., Part]) -> None:
    said: list[str] = []
    part = make("The database is away.", 0, 3, said)
    part.is_ready = True
    part.start()
    eventually(tended(part, lambda: len(said) > parts.GIVE_UP + 2))


def test_a_part_that_never_starts_is_given_up_with_its_last_words(make: Callable[..., Part]) -> None:
    said: list[str] = []
    part = make("a bug", 0, 1, said)
    part.start()
    with pytest.raises(SetupError, match="does not start: a bug"):
        eventually(tended(part))
    assert len(said) == parts.GIVE_UP


def test_a_log_that_has_grown_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "web.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (parts.MAX_LOG_BYTES + 1))
    rotate(log)
    assert [path.name for path in log.parent.iterdir()] == ["web.1.log"]
