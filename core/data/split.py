"""What identifies a row, and which rows are set aside for evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from core.data.trouble import Unusable
from core.data.values import Row
from core.errors import BadInput


def canonical(fields: dict[str, Any]) -> bytes:
    """The same bytes for the same fields, whatever file they came from.

    Raises:
        Unusable: a text holds half of a pair of surrogates, and so cannot be written as UTF-8.
    """
    try:
        return json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise Unusable("holds half of a character: a surrogate without its pair") from error


def split(
    rows: Sequence[Row], digests: Sequence[bytes], share: float, seed: int, name: str
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Rows to train on, and those set aside: a share (0 to 0.5) of the distinct rows, at least one.

    Which ones follows from each row's digest and the seed alone, so neither the order of the file nor a copy of a row
    changes it, and copies stay together.

    Raises:
        BadInput: there is but one distinct row, and a share of it is to be set aside.
    """
    if not share:
        return tuple(rows), ()
    ranks = {digest: hashlib.sha256(f"{seed}:".encode() + digest).digest() for digest in digests}
    if len(ranks) < 2:
        raise BadInput(
            f"{name} holds one distinct row, so none can be set aside for evaluation.",
            "Add rows, or set eval_share to 0 to train on it without evaluation.",
        )
    n_aside = max(1, round(share * len(ranks)))  # a share of at most a half leaves some
    aside = set(sorted(ranks, key=ranks.__getitem__)[:n_aside])
    train = tuple(row for row, digest in zip(rows, digests, strict=True) if digest not in aside)
    return train, tuple(row for row, digest in zip(rows, digests, strict=True) if digest in aside)
