"""What may be deleted goes for good and says what it freed; nothing else is ever touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.catalog import BUILTIN_NAME, builtin_folder, resolve
from core.catalog.removal import remove
from core.errors import ModelNotFound, NotAllowed, NotDownloaded
from core.ids import new_id
from tests.catalog.making import make_folder, make_gguf, make_snapshot


def test_a_folder_or_file_of_the_home_goes(home: Path, cache: Path) -> None:
    folder, packed = make_folder(home / "models" / "one"), make_gguf(home / "models" / "tiny.gguf")
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    assert remove("one", None, home, cache) == n_bytes
    assert remove(str(packed), None, home, cache) > 256
    assert list((home / "models").iterdir()) == []


def test_a_link_goes_and_what_it_leads_to_stays(home: Path, cache: Path, tmp_path: Path) -> None:
    outside = make_folder(tmp_path / "outside")
    (home / "models" / "link").symlink_to(outside)
    remove("link", None, home, cache)
    assert (outside / "config.json").exists()
    assert not (home / "models" / "link").is_symlink()


def test_a_hub_model_goes_whole_or_by_its_revision(home: Path, cache: Path, tmp_path: Path) -> None:
    model = make_folder(tmp_path / "model")
    make_snapshot(cache, "org/model", model, commit="a" * 40, branch="old")
    (model / "config.json").write_text((model / "config.json").read_text() + " ")
    make_snapshot(cache, "org/model", model, commit="b" * 40)
    freed = remove("org/model", "old", home, cache)
    assert 0 < freed < 1000  # what the two share stays
    with pytest.raises(NotDownloaded):
        resolve("org/model", home, "old", cache)
    assert resolve("org/model", home, cache=cache).revision == "b" * 40
    assert remove("org/model", None, home, cache) > 400
    assert list(cache.glob("models--*")) == []


def test_what_was_downloaded_in_part_goes_too(home: Path, cache: Path) -> None:
    blobs = cache / "models--org--half" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "abc.incomplete").write_bytes(b"x" * 1000)
    assert remove("org/half", None, home, cache) == 1000
    assert list(cache.iterdir()) == []


def test_the_built_in_model_and_what_jobs_made_stay(home: Path, cache: Path) -> None:
    make_folder(builtin_folder(home))
    artifact = new_id()
    make_folder(home / "artifacts" / artifact)
    for name in (BUILTIN_NAME, builtin_folder(home).name, str(builtin_folder(home)), artifact):
        with pytest.raises(NotAllowed):
            remove(name, None, home, cache)
    assert (builtin_folder(home) / "config.json").exists()
    assert (home / "artifacts" / artifact / "config.json").exists()


def test_nothing_outside_the_home_is_touched(home: Path, cache: Path, tmp_path: Path) -> None:
    outside = make_folder(tmp_path / "outside")
    for name in (str(outside), str(home), str(home / "models"), f"{home}/models/../models/../../outside", "/", "/etc"):
        with pytest.raises((NotAllowed, ModelNotFound)):
            remove(name, None, home, cache)
    for name in ("..", ".", "../outside", "", "a\0b", "x" * 10_000, "models--x", "org/.."):
        with pytest.raises((NotAllowed, ModelNotFound)):
            remove(name, None, home, cache)
    assert (outside / "config.json").exists()


def test_a_typo_offers_what_there_is(home: Path, cache: Path) -> None:
    make_folder(home / "models" / "my-model")
    with pytest.raises(ModelNotFound) as caught:
        remove("my-modle", None, home, cache)
    assert caught.value.hint == "Did you mean my-model?"
