from __future__ import annotations

import time

import pytest

from web.differences import MOST_WORDS, Change, differences


def marked(reference: str, text: str) -> str:
    signs = {Change.SAME: "{}", Change.NEW: "[+{}+]", Change.GONE: "[-{}-]"}
    return "".join(signs[piece.change].format(piece.text) for piece in differences(reference, text).pieces)


def test_the_first_word_that_differs_is_counted_from_one() -> None:
    found = differences("The capital of France is Paris.", "The capital of France is Lyon.")
    assert found.first == 6
    assert marked("The capital of France is Paris.", "The capital of France is Lyon.") == (
        "The capital of France is[- Paris.-][+ Lyon.+]"
    )


def test_what_follows_a_change_is_found_again() -> None:
    assert marked("a city on the Seine known for art", "a city on the river Seine known for art") == (
        "a city on the[+ river+] Seine known for art"
    )


@pytest.mark.parametrize(("reference", "text"), [("", ""), ("a b", "a b"), ("a  b\n", "a b"), ("a\nb c", "a b c")])
def test_spaces_and_line_breaks_are_no_difference(reference: str, text: str) -> None:
    assert differences(reference, text).first is None
    assert all(piece.change is Change.SAME for piece in differences(reference, text).pieces)


def test_a_text_that_ends_earlier_differs_after_its_last_word() -> None:
    assert differences("one two three", "one two").first == 3
    assert differences("", "one").first == 1
    assert marked("one two three", "one two") == "one two[- three-]"


def test_writing_without_spaces_is_taken_sign_by_sign() -> None:
    assert differences("法国的首都是巴黎", "法国的首都是里昂").first == 7


def test_what_is_kept_and_new_is_the_text_itself() -> None:
    reference, text = "x  y\tz <b>bold</b> end", "x y\tq <i>z</i>\n\nend of it"
    kept = [piece.text for piece in differences(reference, text).pieces if piece.change is not Change.GONE]
    assert "".join(kept) == text


def test_texts_of_any_length_take_no_time() -> None:
    words = [str(n % 7) for n in range(MOST_WORDS * 20)]
    began = time.monotonic()
    found = differences(" ".join(words), " ".join(["0", "other", *words]))
    assert found.first == 2
    assert time.monotonic() - began < 2
