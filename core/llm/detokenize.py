"""Turns tokens into text as they come: whole characters only, and nothing that might be the beginning of a stop string.

The pieces together are exactly what decoding all tokens at once gives, cut before the first stop string.
"""

from __future__ import annotations

from typing import Any

UNFINISHED = "\ufffd"  # what an incomplete character decodes to


class TextStream:
    """The text of one completion, token by token."""

    def __init__(self, tokenizer: Any, stop: tuple[str, ...] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._window: list[int] = []
        self._n_known = 0  # how many tokens of the window are already text
        self._known = ""  # ... and that text: decoders treat a beginning differently, so one piece is kept before it
        self._held = ""
        self.stopped = False
        """Whether a stop string came; the text ends before it."""

    def push(self, token_id: int) -> str:
        """The text that can be shown now that this token came; empty while it could still turn out otherwise."""
        self._window.append(token_id)
        text = self._decode(self._window)
        if text.endswith(UNFINISHED):
            return ""
        return self._release(self._advance(text))

    def finish(self) -> str:
        """The rest of the text, when no token follows."""
        rest = self._release(self._advance(self._decode(self._window)))
        held, self._held = self._held, ""
        return rest if self.stopped else rest + held

    def _decode(self, token_ids: list[int]) -> str:
        # a clean-up would change text that has been shown already
        return str(self._tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _advance(self, text: str) -> str:
        new = text[len(self._known) :]
        if new:  # tokens without text cannot stand before a piece: a decoder would take it for the beginning
            self._window = self._window[self._n_known :]
            self._known = self._decode(self._window)
        self._n_known = len(self._window)
        return new

    def _release(self, new: str) -> str:
        if self.stopped or not self._stop:
            return "" if self.stopped else new
        text = self._held + new
        found = [at for at in (text.find(each) for each in self._stop) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        n_held = max(_overlap(text, each) for each in self._stop)
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` could be the beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
