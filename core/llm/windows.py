"""Cuts an evaluation text into windows of tokens, always the same way, so that every variant reads the same.

The tokens of the text without special ones, in consecutive windows that do not overlap; the first token of each is not
scored, since nothing stands before it; what is left behind the last whole window is not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.comparison.texts import EvaluationText
from core.comparison.values import Text
from core.errors import BadInput

PIECE = 2_000_000  # characters that are tokenized at once: 64 MB in one go would take gigabytes
SHORTEST = 2  # a window of one token has nothing to score


@dataclass(frozen=True, slots=True)
class Windows:
    """What is scored, as tokens."""

    text_name: str
    text_sha256: str
    n_bytes: int
    n_tokens: int
    """Of the whole text; reckoned where it is longer than what was read for these windows."""
    ids_W_T: Tensor  # noqa: N815
    """(windows, tokens) on the processor, int64."""
    scored_bytes: int
    """UTF-8 bytes of the text that the scored tokens stand for."""

    @property
    def n_windows(self) -> int:
        """How many there are."""
        return int(self.ids_W_T.shape[0])

    @property
    def window(self) -> int:
        """Tokens of each, the one that is not scored among them."""
        return int(self.ids_W_T.shape[1])

    @property
    def n_scored(self) -> int:
        """Tokens that are scored."""
        return self.n_windows * (self.window - 1)

    @property
    def tokens_sha256(self) -> str:
        """The same for two variants only if they read the same tokens in the same windows."""
        return hashlib.sha256(f"{self.window} {self.ids_W_T.tolist()}".encode()).hexdigest()

    def as_text(self, log_probabilities_bytes: int = 0) -> Text:
        """What a comparison keeps of it."""
        return Text(
            name=self.text_name,
            sha256=self.text_sha256,
            n_bytes=self.n_bytes,
            n_tokens=self.n_tokens,
            window=self.window,
            stride=self.window,
            n_windows=self.n_windows,
            n_scored=self.n_scored,
            scored_bytes=self.scored_bytes,
            log_probabilities_bytes=log_probabilities_bytes,
        )


def cut(tokenizer: Any, text: EvaluationText, *, window: int, eval_tokens: int, context_length: int) -> Windows:
    """The first `eval_tokens` of a text in whole windows, at least one.

    A text beyond 2 million characters is tokenized piece by piece, and only as far as is asked for: `n_tokens` is then
    reckoned from the part that was read. The tokens do not depend on how many are asked for.

    Args:
        window: tokens of each; where the model's context is shorter, as many as that.
        eval_tokens: 0 takes the whole text.

    Raises:
        BadInput: the text has fewer tokens than one window.
    """
    window = max(SHORTEST, min(window, context_length))
    wanted = max(window, eval_tokens) if eval_tokens else None
    ids, ends, read = _read(tokenizer, text.text, wanted)
    n_windows = min(wanted or len(ids), len(ids)) // window
    if not n_windows:
        raise BadInput(
            f"The evaluation text {text.name} has {len(ids):,} tokens, and one window takes {window:,}.",
            "Take a longer text or a smaller window.",
        )
    ids_W_T = torch.tensor(ids[: n_windows * window], dtype=torch.int64).view(n_windows, window)
    return Windows(
        text_name=text.name,
        text_sha256=text.sha256,
        n_bytes=len(text.text.encode()),
        n_tokens=len(ids) if read == len(text.text) else round(len(ids) / read * len(text.text)),
        ids_W_T=ids_W_T,
        scored_bytes=_bytes_by_ends(text.text, ends, ids_W_T) if ends else _bytes_by_decoding(tokenizer, ids_W_T),
    )


def _read(tokenizer: Any, text: str, wanted: int | None) -> tuple[list[int], list[int], int]:
    """At least as many tokens as wanted; up to which character each reaches, if known; and the characters read."""
    ids: list[int] = []
    ends: list[int] = []
    read = 0
    for piece in _pieces(text):
        piece_ids, piece_ends = _tokens(tokenizer, piece)
        ids += piece_ids
        ends += [read + end for end in piece_ends]
        read += len(piece)
        if wanted and len(ids) >= wanted:
            break
    return ids, ends, read


def _pieces(text: str) -> Iterator[str]:
    """The text in parts that end with a line where they can, so that hardly a token is torn."""
    start = 0
    while start < len(text):
        end = _piece_end(text, start)
        yield text[start:end]
        start = end


def _piece_end(text: str, start: int) -> int:
    end = start + PIECE
    if end >= len(text):
        return len(text)
    behind_line, before_word = text.rfind("\n", start, end) + 1, text.rfind(" ", start + 1, end)
    return behind_line or max(before_word, 0) or end


def _tokens(tokenizer: Any, piece: str) -> tuple[list[int], list[int]]:
    if not tokenizer.is_fast:
        return tokenizer(piece, add_special_tokens=False, verbose=False)["input_ids"], []
    encoded = tokenizer(piece, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return encoded["input_ids"], [end for _, end in encoded["offset_mapping"]]


def _bytes_by_ends(text: str, ends: list[int], ids_W_T: Tensor) -> int:
    """From the end of each window's first token to the end of its last: nothing counts twice, and nothing is lost."""
    n_windows, window = ids_W_T.shape
    firsts = range(0, n_windows * window, window)
    return sum(len(text[ends[first] : ends[first + window - 1]].encode()) for first in firsts)


def _bytes_by_decoding(tokenizer: Any, ids_W_T: Tensor) -> int:
    """For tokenizers that do not tell where a token came from: what the tokens read as."""

    def n_bytes(ids: list[int]) -> int:
        return len(tokenizer.decode(ids, clean_up_tokenization_spaces=False).encode())

    return sum(n_bytes(ids_T) - n_bytes(ids_T[:1]) for ids_T in ids_W_T.tolist())
