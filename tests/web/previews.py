"""A preview as one would come of some rows: made by hand, for the pages that show one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.data.preview import Batch, Listed, Noted, Piece, Previewed, ShownRow, bins_of
from core.data.values import Format

LENGTHS = [12, 18, 19, 23, 25, 25, 31, 44, 47, 52, 58, 70]
WARNING = "No end-of-text token is learned: a model trained on this may never stop."
EVIL = "<img src=x onerror=window.pwned=1>"


def piece(text: str, is_trained: bool, is_special: bool = False) -> Piece:
    """One token."""
    return Piece(tokens=(len(text),), text=text, is_trained=is_trained, is_special=is_special)


def row(number: int, *, is_cut: bool = False, warnings: tuple[str, ...] = ()) -> ShownRow:
    """A row with a masked beginning."""
    pieces = (
        piece("<|im_start|>", False, True),
        piece("Is it good?\n", False),
        piece(f"Yes, it is {EVIL}", True),
        piece("<|im_end|>", True, True),
    )
    return ShownRow(
        number=number, is_evaluation=number == 2, n_tokens=70 if is_cut else 25, n_trained=9, is_cut=is_cut,
        pieces=pieces, warnings=warnings,
    )  # fmt: skip


def previewed(spec: Mapping[str, Any], **changes: Any) -> Previewed:
    """What is found of data that a spec asks for."""
    most = int(spec.get("max_length") or 1024)
    n_cut = sum(length > most for length in LENGTHS)
    usual: dict[str, Any] = {
        "text": f"12 rows of {spec['data']}, prompt-completion: 424 tokens, the longest 70.", "name": str(spec["data"]),
        "source": "an upload", "licence": "", "format": Format.PROMPT_COMPLETION,
        "why": "it has the columns prompt and completion", "counted": "line", "columns": ("prompt", "completion"),
        "fingerprint": "9c1d" * 16, "n_rows": 12, "n_train": 11, "n_evaluation": 1, "n_bad": 2, "n_empty": 1,
        "n_duplicates": 3, "n_short": 0, "n_long": 0, "is_cut": False,
        "bad": (Listed(number=7, reason="is no JSON: a quote is missing"), Listed(number=9, reason="is empty")),
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct", "max_length": most, "n_counted": 12, "n_tokens": sum(LENGTHS),
        "n_trained_tokens": 200, "longest": 70, "n_cut": n_cut,
        "n_lost_tokens": sum(max(0, length - most) for length in LENGTHS), "n_left_out": 0, "n_refused": 0,
        "histogram": bins_of(LENGTHS), "warnings": (Noted(what=WARNING, n_rows=4, first=3),),
        "rows": (row(1), row(2), row(3, is_cut=most < 70, warnings=(WARNING,))),
        "batch": Batch(
            numbers=(1, 3), input_ids=((1, 11, 12, 2), (1, 13, 0, 0)), attention_mask=((1, 1, 1, 1), (1, 1, 0, 0)),
            labels=((-100, -100, 12, 2), (-100, 13, -100, -100)),
        ),
    }  # fmt: skip
    return Previewed(**usual | changes)
