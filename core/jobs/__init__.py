"""The kinds of job there are: an explicit tuple, and the modules that WORKBENCH_EXTRA_KINDS names."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from core.errors import SetupError, UnknownKind
from core.jobs import (
    compare,
    convert,
    download,
    generate,
    inspect,
    load,
    merge,
    pipeline,
    preview,
    remove,
    reward,
    rlhf,
    sft,
)
from core.jobs.kind import AnyKind

KINDS: tuple[AnyKind, ...] = (
    generate.KIND,
    load.KIND,
    compare.KIND,
    inspect.KIND,
    download.KIND,
    convert.KIND,
    remove.KIND,
    sft.KIND,
    reward.KIND,
    rlhf.KIND,
    merge.KIND,
    preview.KIND,
    pipeline.KIND,
)


class Kinds:
    """The kinds that one installation knows, by name."""

    def __init__(self, extra_modules: str = "") -> None:
        self._by_name = {kind.name: kind for kind in (*KINDS, *_extra(extra_modules))}

    def __iter__(self) -> Iterator[AnyKind]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> AnyKind:
        if name not in self._by_name:
            raise UnknownKind(
                f"There is no kind of job named {name}.", f"There are: {', '.join(sorted(self._by_name))}."
            )
        return self._by_name[name]


def _extra(modules: str) -> list[AnyKind]:
    """The KIND or KINDS of each module that is named."""
    found: list[AnyKind] = []
    for name in filter(None, (part.strip() for part in modules.split(","))):
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise SetupError(f"WORKBENCH_EXTRA_KINDS names {name}, which cannot be imported: {error}.") from error
        found += getattr(module, "KINDS", ()) or [module.KIND]
    return found
