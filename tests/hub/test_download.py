"""Downloads from a real server, with its faults: each ends whole, or in a sentence after which a retry goes on."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.catalog import resolve
from core.errors import BadInput, DiskFull, HubAway, HubRefused, ModelBroken, ModelNotFound, NotDownloaded, SetupError
from core.hub.access import Access
from core.hub.download import Fetched, download
from core.hub.line import Line
from core.values import Origin, Progress
from tests.hub.conftest import NAME, SHARDS, make_model
from tests.hub.server import Hub
from tests.support import eventually

SMALL = {"config.json", "tokenizer.json", "tokenizer_config.json", "README.md", "model.safetensors.index.json"}


def nobody(progress: Progress) -> None:
    """A report that nobody reads."""


def fetch(
    access: Access,
    name: str = NAME,
    revision: str | None = None,
    file: str = "",
    trusted: str = "",
    report: Callable[[Progress], None] = nobody,
) -> Fetched:
    with Line(access) as line:
        return download(line, name, revision, file, trusted, report)


def test_a_model_comes_with_what_belongs_to_it_and_nothing_else(access: Access, repository: Path, hub: Hub) -> None:
    said: list[Progress] = []
    fetched = fetch(access, report=said.append)
    assert fetched.is_whole
    assert set(fetched.files) == SMALL | set(SHARDS)
    source = resolve(NAME, Path("/nowhere"), cache=access.cache)
    assert (source.origin, source.revision) == (Origin.HUB, hub.repositories["models", NAME].commit)
    assert {path.name for path in source.folder.iterdir()} == SMALL | set(SHARDS)
    for shard in SHARDS:
        assert (source.folder / shard).read_bytes() == (repository / shard).read_bytes()
    n_bytes = sum(path.stat().st_size for path in source.folder.iterdir())
    assert said[-1].current == said[-1].total == fetched.n_bytes == n_bytes


def test_other_programs_find_the_same_files(access: Access, repository: Path) -> None:
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    fetch(access)
    found = try_to_load_from_cache(NAME, SHARDS[0], cache_dir=access.cache)
    assert isinstance(found, str)
    assert Path(found).read_bytes() == (repository / SHARDS[0]).read_bytes()
    scan = scan_cache_dir(access.cache)
    assert not scan.warnings
    assert [(repo.repo_id, len(repo.revisions)) for repo in scan.repos] == [(NAME, 1)]


def test_what_is_here_is_not_fetched_again(access: Access, repository: Path, hub: Hub) -> None:
    fetch(access)
    hub.requests.clear()
    assert fetch(access).n_bytes == 0
    assert len(hub.requests) == 1  # the list of files: a branch may have moved


def test_a_connection_that_is_cut_goes_on_where_it_was(access: Access, repository: Path, hub: Hub) -> None:
    hub.faults.cut_after, hub.faults.n_cuts = 1_500_000, 1
    assert fetch(access).is_whole
    first, second = hub.files_asked(SHARDS[0])
    assert (first.range, first.sent_bytes) == ("", 1_500_000)
    begin = int(second.range.removeprefix("bytes=").rstrip("-"))
    assert 0 < begin <= 1_500_000
    assert second.sent_bytes == (repository / SHARDS[0]).stat().st_size - begin


def test_a_download_that_was_stopped_goes_on_with_the_next(access: Access, repository: Path, hub: Hub) -> None:
    hub.faults.bytes_per_s = 2_000_000
    with Line(access) as line:
        timer = threading.Timer(0.7, line.cut)
        timer.start()
        stopped = download(line, NAME, None, "", "", nobody)
    assert not stopped.is_whole
    with pytest.raises(NotDownloaded, match="only in part"):
        resolve(NAME, Path("/nowhere"), cache=access.cache)
    partial = next(access.cache.rglob("*.incomplete")).stat().st_size
    assert partial > 100_000
    hub.faults.bytes_per_s = 0
    hub.requests.clear()
    assert fetch(access).is_whole
    assert hub.files_asked(SHARDS[0])[0].range == f"bytes={partial}-"


def test_a_stalled_download_stops_within_a_second(access: Access, repository: Path, hub: Hub) -> None:
    hub.faults.bytes_per_s = 1000  # a piece each sixteen seconds
    with Line(access) as line:
        threading.Timer(0.5, line.cut).start()
        begun = time.monotonic()
        assert not download(line, NAME, None, "", "", nobody).is_whole
        assert time.monotonic() - begun < 1.5


def test_a_server_without_ranges_sends_the_whole_again(access: Access, repository: Path, hub: Hub) -> None:
    hub.faults.cut_after, hub.faults.n_cuts, hub.faults.has_ranges = 1_500_000, 1, False
    said: list[Progress] = []
    assert fetch(access, report=said.append).is_whole
    assert said[-1].current == said[-1].total


def test_a_connection_that_breaks_again_and_again_is_one_sentence_and_keeps_what_came(
    access: Access, repository: Path, hub: Hub
) -> None:
    hub.faults.cut_after, hub.faults.n_cuts = 0, 100
    with pytest.raises(HubAway):
        fetch(access)
    hub.faults.n_cuts = 0
    assert fetch(access).is_whole


@pytest.mark.parametrize("fault", ["wrong_bytes", "short"])
def test_a_damaged_shard_is_removed_and_fetched_anew(access: Access, repository: Path, hub: Hub, fault: str) -> None:
    getattr(hub.faults, fault).add(SHARDS[1])
    with pytest.raises((ModelBroken, HubAway, HubRefused), match=f"{SHARDS[1]}|{NAME}"):
        fetch(access)
    with pytest.raises(NotDownloaded):
        resolve(NAME, Path("/nowhere"), cache=access.cache)
    getattr(hub.faults, fault).clear()
    hub.requests.clear()
    assert fetch(access).is_whole
    assert not hub.files_asked(SHARDS[0])  # the whole one was kept


def test_a_revision_is_a_branch_a_tag_or_a_commit(access: Access, repository: Path, hub: Hub) -> None:
    hub.repositories["models", NAME].revisions = ("v1.0", "refs/pr/1")
    commit = hub.repositories["models", NAME].commit
    for revision in ("v1.0", "refs/pr/1", commit):
        assert fetch(access, revision=revision).commit == commit
        assert resolve(NAME, Path("/nowhere"), revision, access.cache).revision == commit
    assert resolve(NAME, Path("/nowhere"), commit[:7], access.cache).revision == commit


def test_a_revision_that_is_gone_is_one_sentence(access: Access, repository: Path) -> None:
    with pytest.raises(ModelNotFound, match="no such revision of tests/tiny-llama"):
        fetch(access, revision="v9")


def test_a_typo_is_answered_with_the_nearest_names(access: Access, repository: Path, hub: Hub) -> None:
    hub.add("tests/tiny-mistral", repository)
    with pytest.raises(ModelNotFound, match="has no model tests/tiny-lama") as caught:
        fetch(access, "tests/tiny-lama")
    assert "Did you mean tests/tiny-llama" in caught.value.hint


def test_a_gated_model_says_how_to_get_it_and_comes_with_a_token(access: Access, repository: Path, hub: Hub) -> None:
    hub.add("meta/gated", repository, gated=True)
    with pytest.raises(HubRefused, match="meta/gated is gated") as caught:
        fetch(access, "meta/gated")
    assert "HF_TOKEN" in caught.value.hint
    with pytest.raises(HubRefused, match="no access") as caught:
        fetch(dataclasses.replace(access, token="hf_wrong"), "meta/gated")
    assert "hf_wrong" not in caught.value.message + caught.value.hint
    assert fetch(dataclasses.replace(access, token="hf_right"), "meta/gated").is_whole


def test_a_token_is_sent_to_the_hub_alone_and_stands_in_no_text(access: Access, repository: Path, hub: Hub) -> None:
    hub.add("me/private", repository, private=True)
    known = dataclasses.replace(access, token="hf_right")
    assert "hf_right" not in repr(known)
    with pytest.raises(ModelNotFound, match="private"):
        fetch(access, "me/private")
    assert fetch(known, "me/private").is_whole
    assert all(each.authorization == "" for each in hub.requests if each.path.startswith("/cdn/"))


@pytest.mark.parametrize(
    ("headers", "words"),
    [({"Retry-After": "17"}, "17 seconds"), ({"RateLimit": '"api";r=0;t=55'}, "55 seconds"), ({}, "some minutes")],
)
def test_a_rate_limit_says_when_to_try_again(
    access: Access, repository: Path, hub: Hub, headers: dict[str, str], words: str
) -> None:
    hub.faults.status, hub.faults.headers = 429, headers
    with pytest.raises(HubRefused, match=words):
        fetch(access)


def test_a_hub_with_trouble_of_its_own_is_one_sentence(access: Access, repository: Path, hub: Hub) -> None:
    hub.faults.status = 503
    with pytest.raises(HubAway, match="503"):
        fetch(access)


def test_without_a_network_the_answer_comes_within_seconds(
    access: Access, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)  # a proxy would answer in the Hub's place
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for endpoint in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid", "http://10.255.255.1"):
        begun = time.monotonic()
        with pytest.raises(HubAway):
            fetch(dataclasses.replace(access, endpoint=endpoint))
        assert time.monotonic() - begun < 5, endpoint


def test_a_network_that_drops_everything_is_given_up_within_seconds(access: Access) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        address = deaf.getsockname()
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:  # the kernel's queue is full then, and further calls get no answer at all
            caller.setblocking(False)
            caller.connect_ex(address)
        begun = time.monotonic()
        with pytest.raises(HubAway, match="cannot be reached"):
            fetch(dataclasses.replace(access, endpoint=f"http://127.0.0.1:{address[1]}"))
        assert time.monotonic() - begun < 5
        for caller in callers:
            caller.close()


def test_a_look_up_of_the_name_that_hangs_is_given_up_within_seconds(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: time.sleep(8))
    begun = time.monotonic()
    with pytest.raises(HubAway, match="cannot be reached"):
        fetch(access)
    assert time.monotonic() - begun < 5


def test_a_gateway_that_answers_in_the_hubs_place_is_not_taken_for_it(access: Access, hub: Hub) -> None:
    hub.faults.status = 404
    with pytest.raises(HubAway, match="not as a Hub does"):
        fetch(access)


def test_a_hub_that_never_answers_can_be_stopped(access: Access, hub: Hub) -> None:
    from core.hub.trouble import Stopped

    hub.faults.silent = True
    with Line(access) as line:
        threading.Timer(0.3, line.cut).start()
        begun = time.monotonic()
        with pytest.raises(Stopped):
            download(line, NAME, None, "", "", nobody)
        assert time.monotonic() - begun < 1


def test_offline_mode_is_obeyed(access: Access, hub: Hub) -> None:
    with pytest.raises(HubAway, match="HF_HUB_OFFLINE"):
        fetch(dataclasses.replace(access, is_offline=True))
    assert hub.requests == []


def test_a_disk_without_room_is_said_before_a_byte_comes(
    access: Access, repository: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=20_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DiskFull, match=r"needs 8 MB more.* 20 MB free"):
        fetch(access)
    assert len(hub.requests) == 1


def test_a_disk_that_fills_up_in_the_middle_gives_its_room_back(
    access: Access, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.hub import room

    monkeypatch.setattr(room, "MARGIN_BYTES", -(10**12))
    full = Path("/dev/shm") / f"wbtest-{os.getpid()}"
    _small_disk(full)
    try:
        with pytest.raises(DiskFull, match="filled up"):
            fetch(dataclasses.replace(access, cache=full / "cache"))
        assert not list(full.rglob("*.incomplete"))
    finally:
        os.system(f"umount {full}")
        full.rmdir()


def _small_disk(folder: Path) -> None:
    folder.mkdir()
    if os.system(f"mount -t tmpfs -o size=5m tmpfs {folder} 2>/dev/null"):
        folder.rmdir()
        pytest.skip("only root may make a small disk")


def test_of_two_at_once_one_fetches_and_both_have_it(access: Access, repository: Path, hub: Hub) -> None:
    hub.faults.bytes_per_s = 8_000_000
    done: list[Fetched] = []
    threads = [threading.Thread(target=lambda: done.append(fetch(access))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.is_whole for each in done] == [True, True]
    assert sum(each.sent_bytes for each in hub.files_asked(SHARDS[0])) == (repository / SHARDS[0]).stat().st_size


def test_code_comes_only_for_the_very_commit_that_is_listed(access: Access, repository: Path, hub: Hub) -> None:
    commit = hub.repositories["models", NAME].commit
    assert "modeling_evil.py" not in fetch(access, trusted=f"{NAME}@{'0' * 40}").files
    assert "modeling_evil.py" in fetch(access, trusted=f"{NAME}@{commit}").files


def test_pickled_weights_come_where_there_are_no_others_and_that_is_said(
    access: Access, hub: Hub, tmp_path: Path
) -> None:
    folder = tmp_path / "pickled"
    make_model(folder)
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    (folder / "training_args.bin").write_bytes(b"x")
    hub.add("old/model", folder)
    fetched = fetch(access, "old/model")
    assert "pytorch_model.bin" in fetched.files
    assert "training_args.bin" not in fetched.files
    assert "pickled" in fetched.note


def test_of_many_gguf_files_one_is_chosen(access: Access, hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    folder.mkdir()
    for each in ("tiny.Q4_K_M.gguf", "tiny.Q4_K_S.gguf", "tiny.Q8_0.gguf"):
        (folder / each).write_bytes(each.encode() * 100)
    (folder / "README.md").write_text("packed")
    hub.add("me/tiny-GGUF", folder)
    with pytest.raises(BadInput, match="3 GGUF files") as caught:
        fetch(access, "me/tiny-GGUF")
    assert "tiny.Q8_0.gguf" in caught.value.hint
    with pytest.raises(BadInput, match="fits 2"):
        fetch(access, "me/tiny-GGUF", file="Q4_K")
    with pytest.raises(ModelNotFound, match="no GGUF file"):
        fetch(access, "me/tiny-GGUF", file="Q5")
    assert fetch(access, "me/tiny-GGUF", file="q8_0").files == ("README.md", "tiny.Q8_0.gguf")
    assert resolve("me/tiny-GGUF", Path("/nowhere"), cache=access.cache).file == "tiny.Q8_0.gguf"
    fetch(access, "me/tiny-GGUF", file="Q4_K_M")
    with pytest.raises(ModelNotFound, match="several"):
        resolve("me/tiny-GGUF", Path("/nowhere"), cache=access.cache)
    one = resolve("me/tiny-GGUF/tiny.Q8_0.gguf", Path("/nowhere"), cache=access.cache)
    assert (one.file, one.origin) == ("tiny.Q8_0.gguf", Origin.HUB)


@pytest.mark.parametrize("name", ["", "../../etc", "a/b/c", "org/..", "x\0y", "a" * 5000, "org/na--me", "~root/x"])
def test_a_name_that_no_repository_has_is_refused_without_asking(access: Access, hub: Hub, name: str) -> None:
    with pytest.raises(ModelNotFound):
        fetch(access, name)
    assert hub.requests == []


def test_a_server_that_is_no_hub_is_one_sentence(access: Access, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.hub.server._Handler._api", lambda self, *words: self._json({"hello": "world"}))
    with pytest.raises(HubAway, match="not as a Hub does"):
        fetch(access)


@pytest.mark.parametrize("endpoint", ["hub", "http://", "ftp://hub", "http://[bad", "http://a b"])
def test_an_address_that_is_none_is_one_sentence(access: Access, endpoint: str) -> None:
    with pytest.raises(HubAway) as caught:
        fetch(dataclasses.replace(access, endpoint=endpoint))
    assert "\n" not in caught.value.message


def test_a_token_that_is_not_accepted_is_said(access: Access, hub: Hub) -> None:
    hub.faults.status, hub.faults.headers = 401, {"X-Error-Message": "Invalid credentials in Authorization header"}
    with pytest.raises(HubRefused, match="does not accept the token"):
        fetch(dataclasses.replace(access, token="hf_old"))


def test_a_proxy_that_is_none_is_one_sentence(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "nonsense://x")
    with pytest.raises(SetupError, match="proxy"):
        fetch(access)


def test_a_hub_cannot_write_outside_its_place(
    access: Access, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.hub import server

    honest = server._described

    def evil(path: Path, repository: server.Repository) -> dict[str, object]:
        return honest(path, repository) | ({"rfilename": "../../../evil.json"} if path.name == "tokenizer.json" else {})

    monkeypatch.setattr(server, "_described", evil)
    assert fetch(access).is_whole
    assert not list(access.cache.parent.rglob("evil.json"))


def test_eventually_nothing_is_left_over(access: Access, repository: Path) -> None:
    fetch(access)
    assert eventually(lambda: not list(access.cache.rglob("*.incomplete")) and not list(access.cache.rglob("*.tmp")))
