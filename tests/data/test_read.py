"""Data is read row by row, recognised by its columns, and whatever is wrong with it is said, not dropped."""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data import read as reading
from core.data import records
from core.data.spec import DataFields
from core.data.values import BadRow, Format
from core.errors import BadInput
from core.spec import parse_spec
from tests.data.making import OTHER, TALK, read, written

COLUMNS = st.sampled_from(
    ["text", "label", "messages", "prompt", "completion", "chosen", "rejected", "role", "content"]
)
PLAIN = {"prompt": "Two and two?", "completion": " Four."}
ALPACA = {"instruction": "Add.", "input": "2 2", "output": "4"}


@pytest.mark.parametrize(
    ("row", "format", "fields"),
    [
        ({"text": "A text.", "id": 1}, Format.TEXT, {"text": "A text."}),
        ({"sentence": "A text.", "id": 1}, Format.TEXT, {"text": "A text."}),
        ({"text": "A text.", "label": 1}, Format.LABELLED, {"text": "A text.", "label": 1}),
        (
            {"sentence": "Fine.", "label": "good", "rating": "2.5"},
            Format.LABELLED,
            {"text": "Fine.", "label": "good", "rating": 2.5},
        ),
        (PLAIN, Format.PROMPT_COMPLETION, PLAIN),
        (ALPACA, Format.PROMPT_COMPLETION, {"prompt": "Add.\n\n2 2", "completion": "4"}),
        (ALPACA | {"input": ""}, Format.PROMPT_COMPLETION, {"prompt": "Add.", "completion": "4"}),
        ({"question": "Why?", "answer": "So."}, Format.PROMPT_COMPLETION, {"prompt": "Why?", "completion": "So."}),
        (
            {"prompt": TALK[:1], "completion": TALK[1:]},
            Format.PROMPT_COMPLETION,
            {"prompt": TALK[:1], "completion": TALK[1:]},
        ),
        ({"messages": TALK}, Format.MESSAGES, {"messages": TALK}),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]},
            Format.MESSAGES,
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]},
        ),
        (
            {"prompt": "I am", "chosen": " well.", "rejected": " ill."},
            Format.PREFERENCE,
            {"prompt": "I am", "chosen": " well.", "rejected": " ill."},
        ),
        (
            {"chosen": TALK, "rejected": [TALK[0], OTHER[1]]},
            Format.PREFERENCE,
            {"prompt": TALK[:1], "chosen": TALK[1:], "rejected": OTHER[1:]},
        ),
        (
            {"chosen": "Who? I am.", "rejected": "Who? No one."},
            Format.PREFERENCE,
            {"prompt": "Who?", "chosen": " I am.", "rejected": " No one."},
        ),
    ],
)
def test_a_format_is_recognised_by_its_columns(
    tmp_path: Path, row: dict[str, Any], format: Format, fields: dict[str, Any]
) -> None:
    data = read(written(tmp_path / "rows.jsonl", row), eval_share=0.0)
    assert (data.format, [one.fields for one in data.rows]) == (format, [fields])
    assert data.columns == tuple(row)
    assert data.why.startswith("by ")


def test_a_template_makes_what_the_columns_do_not_say(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"q": "Why?", "hint": 7, "a": "So."}, {"q": "How?", "hint": 8, "a": "Thus."})
    data = read(path, prompt_template="{{{q}}} ({hint})\n", completion_template="{a}", eval_share=0.0)
    assert data.format is Format.PROMPT_COMPLETION
    assert data.rows[1].fields == {"prompt": "{How?} (8)\n", "completion": "Thus."}
    assert read(path, text_template="{q} {a}", eval_share=0.0).rows[0].fields == {"text": "Why? So."}


@pytest.mark.parametrize("template", ["{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{}", "{0}", "{a", "a}"])
def test_a_template_reaches_nothing_but_columns(template: str) -> None:
    with pytest.raises(BadInput, match=r"template .* (holds|is not written)"):
        parse_spec(DataFields, {"text_template": template})


def test_a_format_by_hand_goes_before_the_guess(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"text": "One.", "label": 0}, {"text": "Two.", "label": 1})
    data = read(path, data_format="text")
    assert (data.format, data.rows[0].fields) == (Format.TEXT, {"text": "One."})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompt_template": "{question}"}, "prompt_template names the column question, which a.jsonl does not have"),
        ({"label_column": "stars"}, "label_column names stars, which a.jsonl does not have; its columns are one, two"),
        ({"data_format": "messages"}, "cannot be read as messages, which takes a column messages; its columns are one"),
        ({"data_format": "preference"}, "takes a column chosen;"),
        ({"data_format": "labelled", "text_template": "{one}"}, "takes a column label, or another that label_column"),
        ({"data_format": "prompt-completion"}, "takes a column prompt, or a prompt_template"),
        ({"prompt_template": "{one}"}, "takes a column completion, or a completion_template"),
        ({}, "The columns of a.jsonl are none that are known; its columns are one, two"),
    ],
)
def test_a_column_that_is_not_there_is_named_beside_those_that_are(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        read(written(tmp_path / "a.jsonl", {"one": "1", "two": "2"}), **fields)


def test_each_bad_row_is_listed_with_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.jsonl",
        {"text": "fine"},
        {"text": None},
        "{half",
        "[1]",
        {"other": "x"},
        {"text": " \n"},
        {"text": 7},
        '{"text": "half \\ud83d"}',
        "[" * 100_000,
        {"text": "fine too"},
    )
    data = read(path)
    assert [row.number for row in data.rows] == [1, 10]
    assert [bad.number for bad in data.bad] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert data.bad[0] == BadRow(2, "has null as text, not a text")
    said = " ".join(bad.reason for bad in data.bad)
    for part in ("is no JSON", "is a list, not", "has no text", "an empty text", "a number as text", "half of a char"):
        assert part in said
    assert data.n_empty == 1


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ("hello", "has a text as messages, not a list of messages"),
        ([], "has no message in messages"),
        ([{"role": "tool", "content": "x"}], 'has the role "tool" in message 1'),
        ([*TALK, {"role": "user"}], "has null as the content of message 3"),
        ([TALK[0], "x"], "has a text as message 2"),
        ([{"role": "assistant", "content": "x", "tool_calls": [{}]}], "calls a tool in message 1"),
    ],
)
def test_what_is_no_conversation_says_where(tmp_path: Path, messages: Any, reason: str) -> None:
    data = read(written(tmp_path / "a.jsonl", {"messages": TALK}, {"messages": messages}), eval_share=0.0)
    assert data.bad[0].number == 2
    assert reason in data.bad[0].reason


def test_texts_and_conversations_do_not_mix(tmp_path: Path) -> None:
    spoken = {"prompt": TALK[:1], "completion": TALK[1:]}
    mixed = {"prompt": "x", "completion": TALK[1:]}
    data = read(written(tmp_path / "a.jsonl", PLAIN, spoken, mixed), eval_share=0.0)
    assert [bad.reason for bad in data.bad] == [
        "has messages where line 1 has texts",
        "mixes texts and messages: prompt text, completion messages",
    ]


def test_the_same_rows_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    rows = pandas.DataFrame({"text": ['a "b"\nc, d', "zwei ä", "007"], "label": ["x", "y", "z"]})
    rows.to_csv(tmp_path / "a.csv", index=False)
    rows.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    rows.to_json(tmp_path / "a.json", orient="records")
    rows.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    rows.to_parquet(tmp_path / "a.parquet")
    made = [read(path) for path in sorted(tmp_path.iterdir())]
    assert len(made) == 5
    assert len({data.fingerprint for data in made}) == 1
    assert [data.rows[1].number for data in made] == [4, 2, 2, 2, 4]  # a CSV row begins where its line does


def test_conversations_are_read_from_tables_too(tmp_path: Path) -> None:
    pandas.DataFrame({"messages": [TALK, OTHER]}).to_parquet(tmp_path / "a.parquet")
    pandas.DataFrame({"messages": [json.dumps(TALK), json.dumps(OTHER)]}).to_csv(tmp_path / "a.csv", index=False)
    for path in tmp_path.iterdir():
        data = read(path)
        assert (data.format, [row.fields["messages"] for row in data.rows]) == (Format.MESSAGES, [TALK, OTHER])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(COLUMNS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    ending=st.sampled_from(["jsonl", "json", "csv", "tsv", "txt", "parquet"]),
    content=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="ignore")),
    rows=st.lists(JSON, max_size=6),
    eval_share=st.sampled_from([0.0, 0.2]),
)
def test_whatever_a_file_holds_it_is_rows_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, ending: str, content: bytes, rows: list[Any], eval_share: float
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{ending}"
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    for held in (content, lines, json.dumps(rows).encode()):
        path.write_bytes(held)
        with contextlib.suppress(BadInput):
            data = read(path, eval_share=eval_share)
            assert len(data.train) + len(data.evaluation) == len(data.rows) > 0
            assert len({row.number for row in data.rows} | {bad.number for bad in data.bad}) == len(data.rows) + len(
                data.bad
            )


def test_a_text_file_has_a_row_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\ntwo\n")
    data = read(path)
    assert [(row.number, row.fields["text"]) for row in data.rows] == [(1, "one"), (3, "two")]
    assert (data.n_empty, data.bad) == (1, ())


def test_a_csv_line_with_other_columns_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,one\n2,two,more\n3,three\n4,"never closed\n')
    data = read(path)
    assert [row.fields["text"] for row in data.rows] == ["one", "three"]
    assert data.bad[0] == BadRow(3, "has 3 values, where the first line names 2 columns")
    assert data.bad[1].number == 5


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "a.jsonl", r"a\.jsonl holds no rows\."),
        (b"\n\n", "a.txt", "holds no rows"),
        (b"text\n", "a.csv", "holds no rows"),
        (b"[]", "a.json", "holds no rows"),
        (b"{}\n{}\n", "a.jsonl", "its columns are none"),
        (b"nonsense\n{\n", "a.jsonl", r"Of the lines of a\.jsonl none can be used: line 1 is no JSON"),
        (b"fine\n\xe4\n", "a.txt", r"a\.txt is not UTF-8 text: line 2, its byte 1 is 0xe4"),
        ("text\nä\n".encode("latin-1"), "a.csv", r"line 2, its byte 1 is 0xe4"),
        ('{"text": "a"}\n'.encode("utf-16"), "a.jsonl", "it is UTF-16"),
        (b"[1, 2", "a.json", "cannot be read as json"),
        (b"PAR1 not", "a.parquet", "cannot be read as parquet"),
        (b"a,a\n1,2\n", "a.csv", "names a column twice"),
        (b'{"text": "only one"}\n', "a.jsonl", "one distinct row, so none can be set aside"),
        (b'{"text": "same"}\n{"text": "same"}\n', "a.jsonl", "one distinct row"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_in_a_sentence(
    tmp_path: Path, content: bytes, name: str, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("revews", "There is no data 'revews'"),
        ("owner/nowhere.jsonl", "There is no data"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "There is no upload and no artifact with rows"),
        ("/tmp", "is a folder"),
        ("a\0b", "There is no data"),
        ("x" * 900, "There is no data"),
        ("../../etc/nowhere", "There is no data"),
    ],
)
def test_a_name_of_nothing_says_what_will_do(name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        read(name)
    assert "reviews-labelled" in caught.value.hint


@pytest.mark.parametrize("field", ["data_config", "data_revision", "data_split"])
def test_what_only_the_hub_has_is_not_ignored_elsewhere(tmp_path: Path, field: str) -> None:
    path = written(tmp_path / "a.jsonl", {"text": "one"}, {"text": "two"})
    with pytest.raises(BadInput, match=field if field != "data_split" else "has no splits"):
        read(path, **{field: "other"})


def test_a_near_name_is_offered() -> None:
    with pytest.raises(BadInput) as caught:
        read("review-labeled")
    assert caught.value.hint.startswith("Did you mean reviews-labelled")


def test_rows_are_left_out_by_their_length_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *({"text": "x" * n} for n in range(1, 11)))
    data = read(path, min_chars=3, max_chars=8)
    assert [len(row.fields["text"]) for row in data.rows] == [3, 4, 5, 6, 7, 8]
    assert (data.n_short, data.n_long, data.is_cut) == (2, 2, False)
    with pytest.raises(BadInput, match="10 have fewer characters than min_chars"):
        read(path, min_chars=99)


def test_only_so_many_rows_are_read_as_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *({"text": f"row {n}"} for n in range(300)), "no JSON")
    data = read(path, max_rows=200)
    assert (len(data.rows), data.bad, data.is_cut) == (200, (), True)
    assert not read(path).is_cut


def test_more_than_can_be_kept_is_refused_with_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 2_000)
    path = written(tmp_path / "a.jsonl", *({"text": f"row {n}"} for n in range(300)))
    with pytest.raises(BadInput, match="more than can be kept: 2,000 bytes of text, 1,000,000 rows") as caught:
        read(path)
    assert "max_rows=" in caught.value.hint
    assert len(read(path, max_rows=50).rows) == 50


def test_a_json_file_is_bounded_because_it_is_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.write(b"[")
        file.truncate(records.MOST_JSON_BYTES + 1)
    with pytest.raises(BadInput, match=r"has more than 64,000,000 bytes, and a JSON file is read as a whole"):
        read(path)


def test_a_file_of_2_gb_does_not_exhaust_the_memory(tmp_path: Path) -> None:
    """Two files without an end of line or with rows without end, in a process that may have 1.5 GB."""
    hole = tmp_path / "hole.jsonl"
    with hole.open("wb") as file:
        file.write(b'{"text": "one"}\n')
        file.truncate(2_000_000_000)
    script = (
        "import sys; from pathlib import Path; from tests.data.making import read\n"
        "try: read(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(hole)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000)),
    )
    assert done.stdout.strip() == "BadInput Line 2 of hole.jsonl has more than 16,000,000 bytes.", done.stderr


def test_a_packed_table_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 1_000_000)
    path = tmp_path / "rows.parquet"
    pandas.DataFrame({"text": ["x" * 10_000] * 1_000}).to_parquet(path)
    assert path.stat().st_size < 100_000
    with pytest.raises(BadInput, match="more than can be kept"):
        read(path)


def test_spec_fields_are_bounded_and_fit_together() -> None:
    for fields, said in (
        ({"eval_share": 0.6}, "eval_share"),
        ({"max_rows": -1}, "max_rows"),
        ({"data_format": "chat"}, "data_format"),
        ({"text_template": "{a}", "prompt_template": "{b}"}, "give one sort"),
        ({"min_chars": 9, "max_chars": 3}, "no row is both"),
    ):
        with pytest.raises(BadInput, match=said):
            parse_spec(DataFields, json.loads(json.dumps(fields)))
