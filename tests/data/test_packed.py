"""A packed file is read like the plain one: the same rows with the same numbers, and no more than may be unpacked."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow  # type: ignore[import-untyped]
import pytest

from core.data import packed
from core.data.hub_files import choose_files
from core.data.sources import is_on_hub
from core.errors import BadInput
from tests.data.making import read

JSONL = '{"text": "one"}\n\nno json\n{"text": "four"}\n'
CONTENT = {
    "rows.jsonl": JSONL,
    "lines.json": JSONL,
    "rows.json": json.dumps([{"text": "one"}, 2, {"text": "three"}]),
    "rows.csv": 'text,label\n"one\ntwo",1\nthree\nfour,2\n',
    "rows.tsv": "text\tlabel\none\t1\n",
    "rows.txt": "one\n\nthree\n",
}


def zstd(content: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue().to_pybytes())


PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize("ending", list(PACKERS))
@pytest.mark.parametrize("name", list(CONTENT))
def test_a_packed_file_gives_the_rows_and_the_numbers_of_the_plain_one(tmp_path: Path, name: str, ending: str) -> None:
    plain, packed_file = tmp_path / name, tmp_path / f"{name}{ending}"
    plain.write_text(CONTENT[name])
    packed_file.write_bytes(PACKERS[ending](CONTENT[name].encode()))
    one, other = read(plain, eval_share=0.0), read(packed_file, eval_share=0.0)
    assert (one.rows, one.bad, one.counted, one.n_empty) == (other.rows, other.bad, other.counted, other.n_empty)
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("ending", list(PACKERS))
def test_a_small_file_that_unpacks_to_very_much_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(packed, "MOST_UNPACKED_BYTES", 1_000_000)
    bomb = tmp_path / f"bomb.jsonl{ending}"
    bomb.write_bytes(PACKERS[ending](b'{"text": "one"}\n' * 2_000_000))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(BadInput, match=r"^bomb.jsonl\.\w+ unpacks to more than 1,000,000 bytes, and at most so many"):
        read(bomb)
    assert len(read(bomb, max_rows=3, eval_share=0.0).rows) == 3


@pytest.mark.parametrize("ending", list(PACKERS))
def test_a_torn_or_false_file_is_said_to_be_unreadable(tmp_path: Path, ending: str) -> None:
    torn, false = tmp_path / f"torn.csv{ending}", tmp_path / f"false.json{ending}"
    whole = PACKERS[ending](("text\n" + "".join(f"a text {n}\n" for n in range(50_000))).encode())
    torn.write_bytes(whole[: len(whole) // 2])
    false.write_text('[{"text": "not packed"}]')
    for path in (torn, false):
        with pytest.raises(BadInput, match=f"{path.name} cannot be read as"):
            read(path)


def test_parquet_is_packed_within_and_not_once_more(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet.gz").write_bytes(gzip.compress(b"PAR1"))
    with pytest.raises(BadInput, match=r"rows.parquet.gz is Parquet, which is packed within"):
        read(tmp_path / "rows.parquet.gz")


def test_packed_files_of_a_repository_are_its_rows_and_those_of_this_machine_no_repository() -> None:
    names = ["README.md", "helpful/train.jsonl.gz", "helpful/test.jsonl.gz"]
    assert choose_files(names, {}, "helpful", "train", "owner/name") == ["helpful/train.jsonl.gz"]
    assert not is_on_hub("data/rows.jsonl.gz")
