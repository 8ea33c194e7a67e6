"""The values of a record as the fields of a row: texts, conversations, labels; and what is wrong where they are not."""

from __future__ import annotations

import json
import math
from typing import Any

from core.data.records import Record
from core.data.trouble import Empty, Unusable

KINDS = {bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "an object", str: "a text"}
ROLES = {"system": "system", "user": "user", "assistant": "assistant", "human": "user", "gpt": "assistant"}


def text_of(record: Record, column: str) -> str:
    """A text with at least one word.

    Raises:
        Unusable: there is none.
    """
    value = _there(record, column)
    if not isinstance(value, str):
        raise Unusable(f"has {_kind(value)} as {column}, not a text")
    if not value.strip():
        raise Empty(f"has an empty {column}")
    return value


def messages_of(record: Record, column: str) -> list[dict[str, str]]:
    """A conversation as `role` and `content`; `from` and `value` are understood, human and gpt too.

    Raises:
        Unusable: it is none.
    """
    value = _there(record, column)
    if isinstance(value, str) and value.lstrip().startswith("["):  # a CSV file knows texts alone
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise Unusable(f"has {column} that are no JSON: {error}") from error
    if not isinstance(value, list):
        raise Unusable(f"has {_kind(value)} as {column}, not a list of messages")
    if not value:
        raise Empty(f"has no message in {column}")
    return [_message(each, number, column) for number, each in enumerate(value, 1)]


def _message(value: Any, number: int, column: str) -> dict[str, str]:
    where = f"message {number} of {column}"
    if not isinstance(value, dict):
        raise Unusable(f"has {_kind(value)} as {where}, not an object with role and content")
    role, content = value.get("role", value.get("from")), value.get("content", value.get("value"))
    if value.get("tool_calls"):
        raise Unusable(f"calls a tool in {where}, which cannot be trained on here")
    if not isinstance(role, str) or role not in ROLES:
        raise Unusable(f"has the role {json.dumps(role, default=str)[:60]} in {where}: it is system, user or assistant")
    if not isinstance(content, str):
        raise Unusable(f"has {_kind(content)} as the content of {where}, not a text")
    if not content.strip():
        raise Empty(f"has an empty {where}")
    return {"role": ROLES[role], "content": content}


def spoken_of(record: Record, column: str) -> str | list[dict[str, str]]:
    """A text, or a conversation where the column holds one."""
    return messages_of(record, column) if isinstance(record.get(column), list) else text_of(record, column)


def label_of(record: Record, column: str) -> str | int | float | bool:
    """A label: a word, or a number.

    Raises:
        Unusable: it is none, or not a number that counts.
    """
    value = _there(record, column)
    if not isinstance(value, str | int | float | bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise Unusable(f"has {_kind(value)} as {column}, not a word or a number")
    if isinstance(value, str) and not value.strip():
        raise Empty(f"has an empty {column}")
    return value


def rating_of(record: Record) -> dict[str, float]:
    """The field `rating`, where the record has a number of that name."""
    try:
        rating = float(record["rating"])
    except (KeyError, TypeError, ValueError):
        return {}
    return {"rating": rating} if math.isfinite(rating) else {}


def parted(chosen: Any, rejected: Any) -> tuple[Any, Any, Any]:
    """Two answers that begin with their prompt as prompt and the two rests; as TRL parts them.

    Raises:
        Unusable: they begin with nothing in common, or one is all there is of the other.
    """
    if type(chosen) is not type(rejected):
        raise Unusable("has a text and a conversation as chosen and rejected")
    pairs = enumerate(zip(chosen, rejected, strict=False))
    at = next((place for place, (one, other) in pairs if one != other), min(len(chosen), len(rejected)))
    if isinstance(chosen, str) and at and chosen[at - 1] == " ":
        at -= 1  # the space belongs to the answer
    if not at or not chosen[at:] or not rejected[at:]:
        raise Unusable("has no prompt, and chosen and rejected do not begin with one")
    return chosen[:at], chosen[at:], rejected[at:]


def _there(record: Record, column: str) -> Any:
    if column not in record:
        raise Unusable(f"has no {column}")
    return record[column]


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return KINDS.get(type(value), f"a {type(value).__name__}")
