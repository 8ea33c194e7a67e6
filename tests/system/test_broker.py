"""The own broker: private, found by its address, gone when it is told to; and what is said of one that is not there."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from kombu.connection import Connection

from core.broker import OwnBroker, check
from core.errors import SetupError, Unavailable
from core.queue import broker_url
from core.settings import Settings
from core.valkey import server_binary
from tests.support import ROOT, eventually


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OwnBroker]:
    started = OwnBroker.start(tmp_path / "run")
    yield started
    started.stop()


def password_of(url: str) -> str:
    return url.partition(":@" if ":@" in url else "//:")[2].partition("@")[0]


def test_its_address_is_where_every_command_finds_it_and_nobody_else_reads_it(
    broker: OwnBroker, tmp_path: Path
) -> None:
    check(Settings(home=tmp_path).redis)
    assert stat.S_IMODE((tmp_path / "run" / "redis.url").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_it_listens_on_its_socket_alone_and_tells_nobody_its_password(broker: OwnBroker) -> None:
    assert broker.pid is not None
    process = psutil.Process(broker.pid)
    assert not process.net_connections("inet")
    assert password_of(broker.url) not in " ".join(process.cmdline())
    with pytest.raises(Unavailable, match="refuses the password"):
        check(broker.url.replace(password_of(broker.url), ""))


def test_it_keeps_nothing_on_disk_and_forgets_nothing_for_lack_of_memory(broker: OwnBroker) -> None:
    told: Any = redis.Redis.from_url(broker.url).config_get("*")
    assert told["save"] == ""
    assert told["appendonly"] == "no"
    assert told["maxmemory-policy"] == "noeviction"
    assert int(told["maxmemory"]) > 0


def test_celery_reaches_it_by_the_same_address(broker: OwnBroker) -> None:
    with Connection(broker_url(broker.url)) as connection:  # type: ignore[no-untyped-call]
        queue = connection.SimpleQueue("wbtest")
        queue.put("ring")
        assert queue.get(timeout=5).payload == "ring"


def test_one_that_was_left_behind_is_shut_down_by_the_next(broker: OwnBroker, tmp_path: Path) -> None:
    left_behind = broker.pid
    assert left_behind is not None
    new = OwnBroker.start(tmp_path / "run")
    eventually(lambda: not psutil.pid_exists(left_behind) or broker.has_died())
    check(new.url)
    assert new.url != broker.url
    new.stop()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["redis.log"]


def test_an_address_that_a_kill_left_behind_does_no_harm(broker: OwnBroker, tmp_path: Path) -> None:
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    eventually(broker.has_died)
    assert (tmp_path / "run" / "redis.sock").exists()
    new = OwnBroker.start(tmp_path / "run")
    check(new.url)
    new.stop()


def test_it_comes_back_under_the_same_address(broker: OwnBroker) -> None:
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    eventually(broker.has_died)
    broker.launch()
    check(broker.url)


def test_it_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from core.broker import OwnBroker;"
        "print(OwnBroker.start(pathlib.Path(sys.argv[1])).pid, flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "run"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    server = psutil.Process(int(starter.stdout.readline()))
    starter.kill()
    starter.wait()
    eventually(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


def test_a_socket_path_that_is_too_long_goes_elsewhere_and_leaves_nothing(tmp_path: Path) -> None:
    broker = OwnBroker.start(tmp_path / ("folder-" * 20) / "run")
    folder = Path(broker.url.partition("@")[2].partition("?")[0]).parent
    check(broker.url)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    broker.stop()
    assert not folder.exists()


def test_a_server_that_cannot_start_says_why_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "redis.sock").mkdir()  # where its socket should be
    with pytest.raises((SetupError, OSError)):
        OwnBroker.start(tmp_path / "run")
    assert not (tmp_path / "run" / "redis.url").exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nonsense", "redis://127.0.0.1:99999/0"])
def test_what_is_no_address_of_a_redis_is_said(url: str) -> None:
    with pytest.raises(SetupError):
        check(url)


def test_a_redis_that_never_answers_is_given_up_within_seconds() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        port = listener.getsockname()[1]
        with pytest.raises(Unavailable, match=f"Redis at 127.0.0.1:{port} does not answer"):
            check(f"redis://127.0.0.1:{port}/0")


def test_the_server_of_this_machine_is_a_program() -> None:
    assert os.access(server_binary(), os.X_OK)
