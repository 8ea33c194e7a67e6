"""Files of recordings: what is written is read back, and of what cannot be read one sentence says why."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from core.errors import BadInput, NotFound, SetupError
from core.recording import file
from core.recording.file import Shelf, read, write
from core.recording.values import VERSION, Recording
from tests.recording import made


def packed(folder: Path, body: bytes, name: str = "odd") -> Path:
    path = folder / f"{name}.json.gz"
    path.write_bytes(gzip.compress(body))
    return path


@pytest.mark.parametrize(
    "whole", [made.pipeline(), made.recording(made.comparison()), made.recording(made.generation())]
)
def test_what_was_written_is_read_back_whole(tmp_path: Path, whole: Recording) -> None:
    path = write(whole, tmp_path / "new" / "folder")
    assert path.name == "one.json.gz"
    assert read(path) == whole


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    whole = made.recording(made.generation())
    write(whole, tmp_path)
    before = (tmp_path / "one.json.gz").read_bytes()
    with pytest.raises(BadInput, match="is there already"):
        write(whole.model_copy(update={"title": "another"}), tmp_path)
    assert (tmp_path / "one.json.gz").read_bytes() == before


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be written"):
        write(made.recording(made.generation()), tmp_path / "file" / "below")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_gives_one_sentence(tmp_path: Path, share: float) -> None:
    path = write(made.pipeline(), tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BadInput) as refused:
        read(path)
    assert refused.value.message.startswith("one.json.gz ")
    assert refused.value.message.count(".") <= 4
    assert refused.value.hint


def test_a_newer_version_is_refused_before_its_facts_are_looked_at(tmp_path: Path) -> None:
    body = {"version": VERSION + 1, "wholly": {"unknown": True}}
    with pytest.raises(BadInput, match="by a newer version of this program"):
        read(packed(tmp_path, json.dumps(body).encode()))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"7", b'"x"', b"{}", b'{"version": "x"}', b"[" * 100_000, b"\xff\xfe"]
)
def test_what_is_no_recording_gives_one_sentence(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(BadInput, match=r"^odd\.json\.gz is no recording: "):
        read(packed(tmp_path, body))


def test_what_is_not_compressed_or_not_there_gives_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "plain.json.gz").write_text("{}")
    for name in ("plain", "missing"):
        with pytest.raises(BadInput, match=f"^{name}.json.gz cannot be read: "):
            read(tmp_path / f"{name}.json.gz")


def test_a_small_file_that_holds_an_endless_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "MOST_BYTES", 10_000)
    with pytest.raises(BadInput, match="more than 10,000 bytes"):
        read(packed(tmp_path, b" " * 1_000_000))


def test_a_shelf_shows_what_can_be_read_and_the_first_of_a_name(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write(made.recording(made.generation(), title="Ours"), ours)
    write(made.recording(made.generation(), title="Theirs"), theirs)
    write(made.recording(made.comparison(), name="two"), theirs)
    packed(theirs, b"{}")
    shelf = Shelf([ours, theirs, tmp_path / "none"])
    assert [(name, one.title) for name, _, one in shelf.readable()] == [("one", "Ours"), ("two", "One run")]
    assert shelf.job("two", "compare").kind == "compare"
    with pytest.raises(BadInput, match="is of a compare, not of a generate"):
        shelf.job("two", "generate")
    for name in ("none", "../theirs/two", "", "two.json.gz"):
        with pytest.raises(NotFound, match="There is no recording"):
            shelf.path(name)
