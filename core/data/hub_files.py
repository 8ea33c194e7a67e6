"""Which files of a repository hold the rows of a split: by what its README declares, else by the names of the files.

Only names that the repository lists are ever chosen: a pattern picks among them, and no address or path is followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from core.data.packed import ending_of
from core.data.records import READERS
from core.errors import BadInput

# the first of these that a split has is read: repositories often hold the same rows in several
ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
NO_ROWS = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "config.json", "license.txt"}
WORDS = re.compile(r"[^A-Za-z0-9]+")


def choose_files(names: Iterable[str], card: Mapping[str, Any], config: str, split: str, name: str) -> list[str]:
    """The files of one split of one configuration, in order.

    Args:
        names: all files of the repository.
        card: what the top of its README says.
        config: "" takes the default one, or the only one.

    Raises:
        BadInput: there is no such configuration or split, or several and none was named.
    """
    usable = sorted(one for one in names if _may_hold_rows(one))
    if not usable:
        raise BadInput(f"{name} holds no Parquet, JSON, CSV or text file with rows.")
    declared = _configs(card)
    if not declared:
        return _one_ending(_by_name(usable, config, split, name))
    chosen = declared[_config_of(declared, config, name)]
    patterns = _patterns(chosen.get("data_files"))
    if not patterns:
        folder = str(chosen.get("data_dir") or "").strip("/")
        inside = [one for one in usable if one.startswith(f"{folder}/")] if folder else usable
        return _one_ending(_by_name(inside, "" if folder else config, split, name))
    if split not in patterns:
        raise _no_split(name, split, patterns)
    if not (found := [one for one in usable if any(_fits(one, pattern) for pattern in patterns[split])]):
        raise BadInput(f"{name} declares files of the split {split} that it does not hold.")
    return _one_ending(found)


def _may_hold_rows(name: str) -> bool:
    path = PurePosixPath(name)
    is_inside = not path.is_absolute() and "\\" not in name
    is_seen = not any(part.startswith(".") for part in path.parts)  # so none leads upwards either
    return is_inside and is_seen and ending_of(path.name) in ENDINGS and path.name.lower() not in NO_ROWS


def _one_ending(names: list[str]) -> list[str]:
    of_each = {ending: [one for one in names if ending_of(one) == ending] for ending in ENDINGS}
    return next(found for found in of_each.values() if found)


def _configs(card: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    listed = card.get("configs")
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {str(one.get("config_name", "default")): one for one in found}


def _config_of(declared: Mapping[str, Mapping[str, Any]], config: str, name: str) -> str:
    if config in declared:
        return config
    if config:
        raise BadInput(f"{name} has no configuration {config}.", f"It has: {_listed(declared)}.")
    usual = [one for one, said in declared.items() if said.get("default")] or [
        one for one in declared if one == "default"
    ]
    if usual or len(declared) == 1:
        return (usual or list(declared))[0]
    raise BadInput(f"{name} has {len(declared)} configurations: choose one by data_config.", f"{_listed(declared)}.")


def _patterns(said: Any) -> dict[str, list[str]]:
    """The patterns of each split, in any of the ways in which a README may declare them."""
    if isinstance(said, str):
        return {"train": [said]}
    if isinstance(said, dict):
        return {str(split): _texts(paths) for split, paths in said.items()}
    if not isinstance(said, list):
        return {}
    found: dict[str, list[str]] = {}
    for one in said:
        split, paths = (one.get("split", "train"), one.get("path")) if isinstance(one, dict) else ("train", one)
        found.setdefault(str(split), []).extend(_texts(paths))
    return found


def _texts(said: Any) -> list[str]:
    return [str(one) for one in (said if isinstance(said, list) else [said]) if isinstance(one, str)]


def _fits(name: str, pattern: str) -> bool:
    pattern = pattern.removeprefix("./")
    return fnmatchcase(name, pattern) or fnmatchcase(name, pattern.replace("**/", ""))


def _by_name(usable: Sequence[str], config: str, split: str, name: str) -> list[str]:
    if config and not (inside := [one for one in usable if config in PurePosixPath(one).parent.parts]):
        raise BadInput(f"{name} has no configuration {config}.", f"Its folders are: {_listed(_folders(usable))}.")
    within = inside if config else list(usable)
    words = {one: {each.lower() for each in WORDS.split(one)} for one in within}
    known = {one for one in SPLITS if any(words[each] & set(SPLITS[one]) for each in within)}
    found = [one for one in within if words[one] & set(SPLITS.get(split, (split.lower(),)))]
    if not found and split == "train" and not known:
        found = [one for one in within if ending_of(one) in READERS] or within
    if not found:
        raise _no_split(name, split, sorted(known))
    if len(folders := _folders(found)) > 1 and not config:
        raise BadInput(f"{name} has several folders with {split}: choose one by data_config.", f"{_listed(folders)}.")
    return found


def _folders(names: Iterable[str]) -> list[str]:
    """The folders that may be configurations: those named as a split lie within one."""
    usual = {word for words in SPLITS.values() for word in words} | {"data", "."}
    parts = ([part for part in PurePosixPath(one).parent.parts if part.lower() not in usual] for one in names)
    return list(dict.fromkeys("/".join(each) or "." for each in parts))


def _no_split(name: str, split: str, there: Iterable[str]) -> BadInput:
    return BadInput(f"{name} has no split {split}.", f"It has: {_listed(there)}." if there else "")


def _listed(names: Iterable[str]) -> str:
    ordered = list(names)
    return ", ".join(ordered[:12]) + (f" and {len(ordered) - 12} more" if len(ordered) > 12 else "")
