"""All models on this machine, described by their files, broken ones with what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core.catalog.builtin import BUILTIN_NAME, BUILTIN_REVISION, builtin_folder, builtin_is_ready, installed_gguf
from core.catalog.cache import hub_cache, repositories, snapshots
from core.catalog.describe import describe
from core.catalog.source import GGUF_ENDING, ModelSource, models_folder, packed_files
from core.catalog.weights import ADAPTER_CONFIG_NAME, CONFIG_NAME
from core.ids import is_id
from core.values import ModelInfo, Origin

Stamp = tuple[tuple[str, int, int], ...]


class Catalogue:
    """What lies on this machine. What has not changed since it was last asked is not read again.

    Args:
        home: the workbench's home.
        cache: the Hub's cache, where it is not the usual one.
    """

    def __init__(self, home: Path, cache: Path | None = None) -> None:
        self._home = home
        self._cache = cache or hub_cache()
        self._known: dict[ModelSource, tuple[Stamp, ModelInfo]] = {}

    def models(self) -> list[ModelInfo]:
        """Every model: the built-in one, those of the home, of jobs, and of the Hub's cache."""
        found = {}
        for source in _sources(self._home, self._cache):
            stamp = _stamp(source)
            known = self._known.get(source)
            found[source] = known if known and known[0] == stamp else (stamp, describe(source))
        self._known = found
        return [info for _, info in found.values()]


def list_models(home: Path, cache: Path | None = None) -> list[ModelInfo]:
    """Every model on this machine, read now."""
    return Catalogue(home, cache).models()


def _sources(home: Path, cache: Path) -> Iterator[ModelSource]:
    if builtin_is_ready(home):
        yield ModelSource(BUILTIN_NAME, builtin_folder(home), BUILTIN_REVISION, origin=Origin.BUILTIN)
    elif packed := installed_gguf():  # it can be asked for before it is unpacked
        yield ModelSource(BUILTIN_NAME, packed.parent, BUILTIN_REVISION, packed.name, Origin.BUILTIN)
    for path in _visible(models_folder(home)):
        if path != builtin_folder(home):
            yield from _in_folder(path.name, path, Origin.FOLDER)
    for path in _visible(home / "artifacts"):
        if is_id(path.name) and _holds_model(path):
            yield from _in_folder(path.name, path, Origin.ARTIFACT)
    for name in repositories(cache):
        for snapshot in snapshots(name, cache):
            yield from _in_folder(name, snapshot.folder, Origin.HUB, snapshot.commit)


def _in_folder(name: str, path: Path, origin: Origin, revision: str | None = None) -> Iterator[ModelSource]:
    """The models in a folder: one, or each of several GGUF files, whose names then follow the folder's."""
    if path.is_file():
        if path.suffix == GGUF_ENDING:
            yield ModelSource(name, path.parent, None, path.name, Origin.GGUF)
        return
    packed: list[str | None] = [*packed_files(path)]
    is_several = len(packed) > 1 and origin is Origin.HUB
    for file in packed if is_several else packed[:1] or [None]:
        asked = f"{name}/{file}" if is_several else name
        yield ModelSource(asked, path, revision, file, Origin.GGUF if file and origin is Origin.FOLDER else origin)


def _holds_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CONFIG_NAME, ADAPTER_CONFIG_NAME)) or bool(packed_files(folder))


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _stamp(source: ModelSource) -> Stamp:
    """Changes as soon as a file of the model does."""
    try:
        paths = [source.folder / source.file] if source.file else sorted(source.folder.iterdir())
        stats = [(path.name, path.stat()) for path in paths]
    except OSError:
        return ()
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
