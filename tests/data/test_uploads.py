"""Uploads are whole or not there, reached by an id alone, and read by it."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest

from core.cli import run
from core.client import Workbench
from core.data.read import read_data
from core.data.spec import DataFields
from core.data.uploads import Upload, Uploads
from core.errors import BadInput, DiskFull, NotFound
from core.ids import new_id
from tests.data.making import written

ROWS = b'{"text": "one"}\n{"text": "two"}\n'


def test_an_upload_is_kept_found_listed_read_and_removed(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    kept = uploads.add("rows.jsonl", io.BytesIO(ROWS))
    assert kept == Upload(kept.id, "rows.jsonl", len(ROWS), hashlib.sha256(ROWS).hexdigest())
    newer = uploads.add("rows.txt", io.BytesIO(b"a line\nanother\n"))
    assert list(uploads.all()) == [newer, kept]
    data = read_data(DataFields(data=kept.id), tmp_path, lambda message: None)
    assert (data.name, data.source, len(data.rows)) == ("rows.jsonl", f"the upload {kept.id}", 2)
    assert uploads.remove(kept.id) == kept
    assert list(uploads.all()) == [newer]
    with pytest.raises(NotFound):
        uploads.find(kept.id)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\a.csv", "a.csv"),
        ("a\0\nb.csv", "ab.csv"),
        ("..", ".."),
        ("", "upload"),
    ],
)
def test_a_name_is_a_label_and_never_a_path(tmp_path: Path, name: str, label: str) -> None:
    home = tmp_path / "home"
    kept = Uploads(home).add(name, io.BytesIO(ROWS))
    assert kept.name == label
    assert {path.relative_to(home).parts[:2] for path in tmp_path.rglob("*") if path.is_file()} == {
        ("uploads", kept.id)
    }


NO_IDS = ("..", "../x", "", ".", "01arz3ndektsv4rrffq69g5fav", "01M87KT335BJRKWCADD86NWG49")


@pytest.mark.parametrize("upload_id", NO_IDS)
def test_what_is_no_id_finds_nothing(tmp_path: Path, upload_id: str) -> None:
    (tmp_path / "upload.json").write_text('{"id": "x", "name": "x", "n_bytes": 1, "sha256": ""}')
    with pytest.raises(NotFound, match="There is no upload"):
        Uploads(tmp_path).find(upload_id)


class Breaking(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise OSError(28, "No space left on device")
        return super().read(10)


def test_what_is_too_large_empty_or_broken_off_leaves_nothing(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    with pytest.raises(BadInput, match=r"a\.jsonl has more than 10 bytes"):
        uploads.add("a.jsonl", io.BytesIO(ROWS), limit_bytes=10)
    with pytest.raises(BadInput, match=r"a\.jsonl is empty"):
        uploads.add("a.jsonl", io.BytesIO())
    with pytest.raises(DiskFull, match="No space left"):
        uploads.add("a.jsonl", Breaking(ROWS))
    assert not list((tmp_path / "uploads").iterdir())


def test_an_artifact_is_read_by_its_id_too(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / new_id()
    folder.mkdir(parents=True)
    written(folder / "rows.jsonl", {"text": "one"}, {"text": "two"})
    fields = DataFields(data=folder.name)
    assert len(read_data(fields, tmp_path, lambda message: None).rows) == 2
    written(folder / "more.jsonl", {"text": "one"})
    with pytest.raises(BadInput, match="holds 2 files with rows"):
        read_data(fields, tmp_path, lambda message: None)


def test_the_client_and_the_command_line_keep_and_list_them(
    workbench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(workbench.settings.home))
    path = written(tmp_path / "mine.jsonl", {"text": "one"})
    assert run(["data", "add", str(path), "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert [one.id for one in workbench.uploads()] == [kept["id"]]
    assert run(["data"]) == 0
    said = capsys.readouterr().out
    assert kept["id"] in said
    assert "mine.jsonl" in said
    assert "reviews-labelled" in said
    assert run(["data", "remove", kept["id"]]) == 0
    assert run(["data", "remove", kept["id"]]) == 2
    assert run(["data", "add", str(tmp_path / "nowhere.csv")]) == 2
    assert "nowhere.csv cannot be read: No such file" in capsys.readouterr().err
    assert workbench.upload(io.BytesIO(ROWS), "a.jsonl").name == "a.jsonl"
