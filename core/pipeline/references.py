"""How a step names what another one made: `@sft`, alone or within a text such as `model:@reward,label=positive`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

PLACEHOLDER = "0" * 26
"""Stands for an artifact that is not there yet, so that a Spec can be checked before anything runs."""
_REFERENCE = re.compile(r"(?<![^:=,+])@([a-z][a-z0-9_]*)")  # at the beginning of a value or of a part of it


def names_in(value: Any) -> Iterator[str]:
    """The steps that a value of a field names, in lists and objects too."""
    if isinstance(value, str):
        yield from _REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from names_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from names_in(each)


def replaced(value: Any, artifact_of: Callable[[str], str]) -> Any:
    """The value with the id of an artifact in place of each reference."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: artifact_of(found[1]), value)
    if isinstance(value, Mapping):
        return {name: replaced(each, artifact_of) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [replaced(each, artifact_of) for each in value]
    return value
