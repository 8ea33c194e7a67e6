"""What a name means: always one model or one sentence, from local files alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core.catalog import BUILTIN_NAME, BUILTIN_REVISION, builtin_folder, nearest, resolve
from core.catalog.trust import may_run_code, parse_trusted
from core.errors import ModelNotFound, NotDownloaded, SetupError
from core.ids import new_id
from core.values import Origin
from tests.catalog.making import make_adapter, make_folder, make_gguf, make_snapshot


def test_the_built_in_model_has_two_names(home: Path, cache: Path) -> None:
    for name in (BUILTIN_NAME, builtin_folder(home).name):
        source = resolve(name, home, cache=cache)
        assert (source.name, source.origin, source.revision) == (BUILTIN_NAME, Origin.BUILTIN, BUILTIN_REVISION)


def test_a_path_is_a_folder_or_a_gguf_file(home: Path, cache: Path, tmp_path: Path) -> None:
    folder, packed = make_folder(tmp_path / "a model"), make_gguf(tmp_path / "packed" / "tiny.gguf")
    assert resolve(str(folder), home, cache=cache).folder == folder
    for name in (str(packed), str(packed.parent)):
        source = resolve(name, home, cache=cache)
        assert (source.folder, source.file, source.origin) == (packed.parent, "tiny.gguf", Origin.GGUF)


def test_what_lies_in_the_homes_models_goes_by_its_name(home: Path, cache: Path) -> None:
    make_folder(home / "models" / "org--mine")
    make_gguf(home / "models" / "tiny.gguf")
    assert resolve("org--mine", home, cache=cache).folder == home / "models" / "org--mine"
    assert resolve("tiny.gguf", home, cache=cache).file == "tiny.gguf"


def test_what_a_job_made_goes_by_its_id(home: Path, cache: Path) -> None:
    made, adapter = new_id(), new_id()
    make_folder(home / "artifacts" / made)
    make_adapter(home / "artifacts" / adapter, "org/base")
    assert resolve(made, home, cache=cache).origin is Origin.ARTIFACT
    assert resolve(adapter, home, cache=cache).folder == home / "artifacts" / adapter
    with pytest.raises(ModelNotFound):
        resolve(new_id(), home, cache=cache)


def test_a_hub_name_means_the_snapshot_that_is_here(home: Path, cache: Path, tmp_path: Path) -> None:
    model = make_folder(tmp_path / "model")
    old = make_snapshot(cache, "org/model", model, commit="a" * 40, branch="old")
    new = make_snapshot(cache, "org/model", model, commit="b" * 40)
    for revision, commit in ((None, new), ("main", new), ("old", old), ("aaaaaaa", old), (old, old)):
        source = resolve("org/model", home, revision, cache)
        assert (source.revision, source.origin, source.name) == (commit, Origin.HUB, "org/model")
    make_snapshot(cache, "gpt2", model)
    assert resolve("gpt2", home, cache=cache).origin is Origin.HUB


def test_a_revision_that_is_not_here_says_which_are(home: Path, cache: Path, tmp_path: Path) -> None:
    make_snapshot(cache, "org/model", make_folder(tmp_path / "model"), commit="b" * 40)
    with pytest.raises(NotDownloaded, match="not its revision 'v2'") as caught:
        resolve("org/model", home, "v2", cache)
    assert "bbbbbbbbbbbb" in caught.value.hint
    assert "workbench submit download --model org/model --revision v2" in caught.value.hint


def test_a_model_without_revisions_takes_none(home: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no revisions"):
        resolve(str(make_folder(tmp_path / "model")), home, "main", cache)


def test_a_snapshot_that_is_not_whole_does_not_count(home: Path, cache: Path, tmp_path: Path) -> None:
    settings_alone = make_folder(tmp_path / "model", weights=None)
    make_snapshot(cache, "org/model", settings_alone)
    with pytest.raises(NotDownloaded, match="only in part") as caught:
        resolve("org/model", home, cache=cache)
    assert "goes on where it was" in caught.value.hint


def test_a_hub_name_that_is_not_here_says_how_to_get_it_and_what_is_near(
    home: Path, cache: Path, tmp_path: Path
) -> None:
    make_snapshot(cache, "Qwen/Qwen2.5-0.5B", make_folder(tmp_path / "model"))
    with pytest.raises(NotDownloaded) as caught:
        resolve("Qwen/Qwen2.5-05B", home, cache=cache)
    assert "`workbench submit download --model Qwen/Qwen2.5-05B`" in caught.value.hint
    assert "Did you mean Qwen/Qwen2.5-0.5B?" in caught.value.hint


def test_a_typo_in_a_plain_name_offers_what_there_is(home: Path, cache: Path) -> None:
    make_folder(home / "models" / "my-model")
    with pytest.raises(ModelNotFound, match="There is no model 'my-modle'") as caught:
        resolve("my-modle", home, cache=cache)
    assert not isinstance(caught.value, NotDownloaded)
    assert caught.value.hint == "Did you mean my-model?"


def test_near_names_may_lack_the_organisation_and_differ_in_case() -> None:
    known = ["Qwen/Qwen2.5-0.5B", "HuggingFaceTB/SmolLM2-135M-Instruct", "meta-llama/Llama-3.1-8B"]
    assert nearest("smollm2-135m-instruct", known) == ["HuggingFaceTB/SmolLM2-135M-Instruct"]
    assert nearest("meta/Llama-3.1-8b", known) == ["meta-llama/Llama-3.1-8B"]
    assert nearest("something else", known) == []


BAD_NAMES = ["", " ", "a\0b", "~nobody-of-this-name/x", "x" * 10_000, "/" + "x" * 300, "../../etc/passwd", "org/..",
             "/etc", "/etc/passwd", "a\nb", "org/na--me", ".hidden", "models/../../x", "C:\\model", "\ud800",
             "org/x.gguf"]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_one_sentence_at_once(home: Path, cache: Path, name: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ModelNotFound) as caught:
        resolve(name, home, cache=cache)
    assert time.monotonic() - begun < 0.1
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("revision", ["../../x", "/etc/passwd", "x\0", "y" * 10_000, "abc"])
def test_a_bad_revision_is_one_sentence(home: Path, cache: Path, tmp_path: Path, revision: str) -> None:
    make_snapshot(cache, "org/model", make_folder(tmp_path / "model"))
    with pytest.raises(NotDownloaded):
        resolve("org/model", home, revision, cache)


def test_a_name_is_resolved_in_milliseconds_among_many(home: Path, cache: Path, tmp_path: Path) -> None:
    model = make_folder(tmp_path / "model")
    for nth in range(100):
        make_snapshot(cache, f"org/model-{nth}", model)
    begun = time.monotonic()
    resolve("org/model-50", home, cache=cache)
    assert time.monotonic() - begun < 0.02


def test_only_the_very_commit_that_an_administrator_lists_may_run_code(home: Path, cache: Path, tmp_path: Path) -> None:
    commit = make_snapshot(cache, "org/model", make_folder(tmp_path / "model"))
    source = resolve("org/model", home, cache=cache)
    assert may_run_code(source, f"other/x@{'0' * 40}, org/model@{commit}")
    assert not may_run_code(source, f"org/model@{'0' * 40}")
    assert not may_run_code(source, "")
    assert not may_run_code(resolve(str(source.folder), home, cache=cache), f"org/model@{commit}")


@pytest.mark.parametrize("allowed", ["org/model", "org/model@main", "org/model@abc123", f"../x@{'0' * 40}", "@"])
def test_a_list_that_pins_nothing_is_refused(allowed: str) -> None:
    with pytest.raises(SetupError, match="WORKBENCH_TRUSTED_CODE"):
        parse_trusted(allowed)
