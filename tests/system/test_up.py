"""`workbench up`, in real processes: what it starts, what it refuses, and what is left when it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.errors import SetupError
from core.preflight import check_space, make_home
from tests.support import eventually
from tests.system.house import House


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


def is_answering(house: House) -> bool:
    try:
        with urllib.request.urlopen(f"{house.address}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def part_of(house: House, word: str) -> psutil.Process | None:
    """The part that `up` itself has started by a command with that word."""
    assert house.up is not None
    for part in psutil.Process(house.up.pid).children():
        with contextlib.suppress(psutil.Error):
            if word in " ".join(part.cmdline()):
                return part
    return None


def kill_part(house: House, word: str, title: str) -> None:
    """Kill a part, and wait until another one has taken its place."""
    dead = part_of(house, word)
    assert dead is not None
    dead.kill()
    eventually(lambda: f"{title:<9} ended" in house.said())
    eventually(lambda: (part := part_of(house, word)) and part.pid != dead.pid)


def refusal(house: House) -> str:
    """The one sentence with which `up` refuses."""
    done = house.run("up")
    assert done.returncode == 3, done
    assert "Traceback" not in done.stderr
    assert not house.processes()
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_everything_starts_says_so_and_leaves_nothing_behind(house: House) -> None:
    house.start()
    for part in ("Redis", "Database", "Device", "Page", "Workers"):
        assert sum(line.strip().startswith(part) for line in house.said().splitlines()) == 1, house.said()
    assert is_answering(house)
    address = house.home / "run" / "redis.url"
    assert stat.S_IMODE(address.stat().st_mode) == 0o600
    assert address.read_text().startswith("unix://:")

    assert house.end() == 0
    assert not house.processes()
    assert not house.leftovers()


def test_a_start_after_a_kill_of_everything_needs_no_repair(house: House) -> None:
    house.start()
    house.kill()
    assert house.leftovers()  # nobody could clean up

    house.start()
    assert is_answering(house)
    assert house.end(signal.SIGTERM) == 0
    assert not house.processes()
    assert not house.leftovers()


def test_no_part_outlives_an_up_that_was_killed(house: House) -> None:
    house.start()
    assert house.up is not None
    house.up.kill()
    eventually(lambda: not house.processes(), patience_s=10)


def test_a_part_that_dies_is_started_again(house: House) -> None:
    house.start()
    for word, news in (("-m web", "Page"), ("valkey-server", "Redis"), ("-m worker", "Workers")):
        kill_part(house, word, news)
    eventually(lambda: is_answering(house))
    assert house.json("submit", "quick", "--text", "still here", "--wait")["result"]["text"] == "still here "


def test_ctrl_c_gives_a_running_job_back(house: House) -> None:
    house.start()
    job = house.json("submit", "quick", "--seconds", "600")["id"]
    eventually(lambda: house.json("show", job)["state"] == "running")

    assert house.end() == 0
    assert not house.processes()
    found = house.json("show", job)
    assert found["state"] == "queued"
    assert found["events"][-1]["kind"] != "lost"


@pytest.mark.nightly
def test_a_second_ctrl_c_does_not_wait_for_a_stubborn_job(house: House, tmp_path: Path) -> None:
    house.start()
    log = tmp_path / "log"
    house.json("submit", "long", "--seconds", "600", "--trouble", "stubborn", "--log", str(log))
    eventually(log.exists)
    assert house.up is not None
    house.up.send_signal(signal.SIGINT)
    eventually(lambda: "Stopping" in house.said())
    assert house.end() == 0
    eventually(lambda: not house.processes(), patience_s=2)
    assert not house.leftovers()


def test_a_home_takes_one_up(running: House) -> None:
    assert running.up is not None
    done = running.run("up")
    assert done.returncode == 3
    assert f"already runs on {running.home}: process {running.up.pid}, {running.address}" in done.stderr
    assert is_answering(running)


def test_a_taken_port_is_said_with_another_one(build: Callable[..., House], silent_port: int) -> None:
    said = refusal(build(port=silent_port))
    assert f"Port {silent_port} of 127.0.0.1 is taken" in said
    assert "WORKBENCH_PORT=" in said


def test_an_address_of_another_machine_is_refused(build: Callable[..., House]) -> None:
    team = {"mode": "team", "secret": "a secret of a test, as long as it must be"}
    assert "cannot be bound to 192.0.2.1" in refusal(build(host="192.0.2.1", port=7860, **team))


def test_what_is_unsafe_in_a_mode_is_refused_with_what_mends_it(build: Callable[..., House]) -> None:
    said = refusal(build(host="0.0.0.0"))
    assert "whoever reaches the page is its owner" in said
    assert "WORKBENCH_MODE=team" in said
    assert "`workbench secrets` writes an .env" in refusal(build("other", mode="team"))


def test_a_redis_that_does_not_answer_is_named_without_its_password(
    build: Callable[..., House], silent_port: int
) -> None:
    said = refusal(build(redis_url=f"redis://:secret@127.0.0.1:{silent_port}/0"))
    assert f"Redis at 127.0.0.1:{silent_port} does not answer" in said
    assert "secret" not in said


def test_a_database_that_does_not_answer_is_named_without_its_password(
    build: Callable[..., House], silent_port: int
) -> None:
    said = refusal(build(database_url=f"postgresql://me:secret@127.0.0.1:{silent_port}/test"))
    assert f"127.0.0.1:{silent_port}/test does not answer" in said
    assert "secret" not in said


def test_what_a_part_says_when_it_cannot_start_ends_everything(build: Callable[..., House]) -> None:
    said = refusal(build(extra_kinds="no.such.module").pretend_model())
    assert "WORKBENCH_EXTRA_KINDS names no.such.module" in said


@pytest.mark.nightly
def test_given_servers_are_used_and_named(
    build: Callable[..., House], postgresql_url: str, redis_server: str, redis_prefix: str
) -> None:
    given = {"database_url": postgresql_url, "redis_url": redis_server, "redis_prefix": redis_prefix}
    house = build(**given).pretend_model()
    house.start()
    assert "given, at" in house.said()
    assert "PostgreSQL at" in house.said()
    assert not part_of(house, "valkey-server")
    assert house.json("submit", "quick", "--text", "over there", "--wait")["state"] == "succeeded"
    assert house.end() == 0
    assert not (house.home / "workbench.db").exists()


def test_a_home_that_cannot_be_made_is_one_sentence(build: Callable[..., House], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written: not a directory" in refusal(build("file/home"))


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"The disk of .* is full") as refused:
        check_space(tmp_path, needed_bytes=10**18)
    assert "WORKBENCH_HOME" in refused.value.hint


def test_a_disk_without_a_free_block_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".probe").symlink_to("/dev/full")
    with pytest.raises(SetupError, match="is full"):
        make_home(tmp_path)


@pytest.mark.nightly
def test_a_home_with_a_long_path_gets_its_socket_elsewhere(build: Callable[..., House]) -> None:
    house = build("a-long-name-of-a-folder-" * 5).pretend_model()
    house.start(until="Page")
    socket_path = Path((house.home / "run" / "redis.url").read_text().partition("@")[2].partition("?")[0])
    assert len(os.fsencode(socket_path)) <= 100
    assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
    assert house.end() == 0
    assert not socket_path.parent.exists()
