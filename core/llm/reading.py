"""How far transformers is with reading a model's weights: its own progress bar, listened to.

The bar counts tensors; what is told is bytes, by the headers of the files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers.utils import logging

from core.errors import ModelError
from core.memory.headers import read_folder

Heard = Callable[[int, int], None]  # (bytes read, bytes in all)
_listening = threading.Lock()  # the library has one hook for the whole process


@contextmanager
def heard(folder: Path, tell: Heard) -> Iterator[None]:
    """Inside the `with` block `tell` hears of every tensor that is read. One block at a time waits for the other."""
    sizes = _sizes(folder)

    def hook(make: Callable[..., Any], positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if named.get("desc") == "Loading weights" and positional and sizes:
            return _counted(positional[0], sizes, tell)
        return make(*positional, **{**named, "disable": True})

    with _listening:
        before = logging.set_tqdm_hook(hook)
        try:
            yield
        finally:
            logging.set_tqdm_hook(before)


def _counted(items: Iterable[Any], sizes: Mapping[str, int], tell: Heard) -> Iterator[Any]:
    total, read = sum(sizes.values()), 0
    for item in items:
        yield item
        read += _bytes_of(item, sizes)
        tell(min(read, total), total)


def _bytes_of(item: Any, sizes: Mapping[str, int]) -> int:
    """One tensor of the model, made of one or more of the files' tensors."""
    name, mapping = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
    targets: dict[str, set[str]] = getattr(mapping, "layer_targets", None) or {}
    sources = {source for each in targets.values() for source in each} or {str(name)}
    return sum(sizes.get(source, 0) for source in sources)


def _sizes(folder: Path) -> dict[str, int]:
    try:
        return {one.name: one.n_bytes for one in read_folder(folder)}
    except ModelError:  # a GGUF file, or files that the loader will refuse in its own words
        return {}
