"""Text comes in whole characters, never shows a part of a stop string, and adds up to the decoded whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from core.catalog import builtin_folder
from core.llm.detokenize import TextStream

TEXTS = ["Grüße aus Köln 🦕🏳️‍🌈 — 你好, 世界!", "  two  spaces\n\n\tand a tab ", "naïve café 👩‍👩‍👧‍👦", "1 234.5 °C"]


@pytest.fixture(scope="module")
def tokenizer(models_home: Any) -> Any:
    return AutoTokenizer.from_pretrained(builtin_folder(models_home))


def sentencepiece_like() -> Any:
    """A vocabulary of the sort of Llama 2: spaces as ▁, unknown characters as bytes, a beginning without its space."""
    pieces = ["<s>", "▁", "▁Hello", "▁world", "lo", "!", "▁▁"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(BPE({piece: index for index, piece in enumerate(pieces)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<s>"])
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer)


def decoded(tokenizer: Any, token_ids: list[int]) -> str:
    return str(tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def pieces_of(tokenizer: Any, token_ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    stream = TextStream(tokenizer, stop)
    pieces = []
    for token_id in token_ids:
        pieces.append(stream.push(token_id))
        if stream.stopped:
            return pieces
    return [*pieces, stream.finish()]


@given(token_ids=st.lists(st.integers(0, 49151), max_size=30))
@settings(max_examples=150, deadline=None)
def test_any_tokens_add_up_to_the_decoded_whole(tokenizer: Any, token_ids: list[int]) -> None:
    assert "".join(pieces_of(tokenizer, token_ids)) == decoded(tokenizer, token_ids)


@given(data=st.binary(max_size=24))
@settings(max_examples=150, deadline=None)
def test_bytes_that_are_no_text_add_up_as_well(tokenizer: Any, data: bytes) -> None:
    letters = tokenizer.backend_tokenizer.model
    ids = [letters.token_to_id(letter) for letter in _byte_letters(data)]
    known = [token_id for token_id in ids if token_id is not None]
    assert "".join(pieces_of(tokenizer, known)) == decoded(tokenizer, known)


@given(text=st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_text_is_shown_in_whole_characters(tokenizer: Any, text: str) -> None:
    token_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = pieces_of(tokenizer, token_ids)
    assert "".join(pieces) == decoded(tokenizer, token_ids)
    if "\ufffd" not in decoded(tokenizer, token_ids):
        assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("text", TEXTS)
def test_each_character_comes_with_the_token_that_completes_it(tokenizer: Any, text: str) -> None:
    token_ids = tokenizer(text)["input_ids"]
    stream = TextStream(tokenizer)
    shown = ""
    for count, token_id in enumerate(token_ids, start=1):
        shown += stream.push(token_id)
        whole = decoded(tokenizer, token_ids[:count])
        assert shown == whole or whole.endswith("\ufffd")
    assert shown == text


@given(token_ids=st.lists(st.integers(0, 6), max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_tokenizer_that_drops_the_first_space_keeps_all_others(token_ids: list[int]) -> None:
    tokenizer = sentencepiece_like()
    assert "".join(pieces_of(tokenizer, token_ids)) == decoded(tokenizer, token_ids)


def test_bytes_of_a_character_are_held_until_it_is_whole() -> None:
    tokenizer = sentencepiece_like()
    token_ids = [2, *(tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in "🦕".encode()), 5]
    assert pieces_of(tokenizer, token_ids) == ["Hello", "", "", "", "🦕", "!", ""]


@given(
    text=st.text(alphabet="abc \n🦕", max_size=30), stop=st.lists(st.text("abc\n", min_size=1, max_size=3), max_size=3)
)
@settings(max_examples=200, deadline=None)
def test_nothing_of_a_stop_string_is_ever_shown(tokenizer: Any, text: str, stop: list[str]) -> None:
    token_ids = tokenizer(text)["input_ids"]
    shown = "".join(pieces_of(tokenizer, token_ids, tuple(stop)))
    assert not any(each in shown for each in stop)
    assert text.startswith(shown)
    if not any(each in text for each in stop):
        assert shown == text


def test_what_might_begin_a_stop_string_waits_and_is_shown_when_it_does_not(tokenizer: Any) -> None:
    token_ids = tokenizer("one two\n\nUser goes")["input_ids"]
    shown = [piece for piece in pieces_of(tokenizer, token_ids, ("\n\nUser:",)) if piece]
    assert shown == ["one", " two", "\n\nUser goes"]
    assert "".join(pieces_of(tokenizer, token_ids, ("\n\nUser",))) == "one two"


def test_of_two_stop_strings_in_one_token_the_earlier_counts(tokenizer: Any) -> None:
    token_ids = tokenizer("one two")["input_ids"]
    assert len(token_ids) == 2
    assert "".join(pieces_of(tokenizer, token_ids, ("o", "tw")[::-1])) == ""
    assert "".join(pieces_of(tokenizer, token_ids, ("wo", "tw"))) == "one "


def _byte_letters(data: bytes) -> list[str]:
    """The letter by which byte-level vocabularies write each byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {byte: chr(byte) for byte in shown} | {byte: chr(256 + index) for index, byte in enumerate(hidden)}
    return [letters[byte] for byte in data]
