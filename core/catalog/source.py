"""The one model that a name means. Purely local: what is not on this machine is said at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.catalog.builtin import BUILTIN_NAME, BUILTIN_REVISION, builtin_folder
from core.catalog.cache import find_snapshot, hub_cache, is_begun, repositories, snapshots
from core.catalog.names import MOST_NAME, did_you_mean, is_hub_name, nearest, shown
from core.catalog.weights import ADAPTER_CONFIG_NAME, CONFIG_NAME
from core.errors import ModelNotFound, NotDownloaded
from core.ids import is_id
from core.values import Origin

GGUF_ENDING = ".gguf"
PATH_BEGINNINGS = ("/", "./", "../", "~")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that can be loaded: the name it was asked by, its folder, and its revision where one is known.

    `file` is the name of a GGUF file in that folder, where the model is one.
    """

    name: str
    folder: Path
    revision: str | None
    file: str | None = None
    origin: Origin = Origin.FOLDER

    @property
    def path(self) -> Path:
        """The GGUF file, else the folder."""
        return self.folder / self.file if self.file else self.folder


def models_folder(home: Path) -> Path:
    """Where the home keeps models: each is a folder or a GGUF file, and its name is the model's."""
    return home / "models"


def resolve(name: str, home: Path, revision: str | None = None, cache: Path | None = None) -> ModelSource:
    """The model of that name on this machine, in milliseconds and without the network.

    A name is the built-in model's, a path, the id of an artifact, the name of a folder or file in the home's `models`,
    or a repository of the Hub that was downloaded (`organisation/name`, with `/file.gguf` where it holds several).

    Args:
        revision: of a Hub model: a branch or tag as it was when last fetched, a commit or its beginning.
        cache: the Hub's cache, where it is not the usual one.

    Raises:
        NotDownloaded: the Hub may have it, but it is not here, or not whole, or not in that revision.
        ModelNotFound: nothing here has that name.
    """
    if not name.strip() or len(name) > MOST_NAME or not name.isprintable():
        raise ModelNotFound(f"{shown(name)} cannot be the name of a model.")
    if name == BUILTIN_NAME and revision in (None, BUILTIN_REVISION):
        return ModelSource(BUILTIN_NAME, builtin_folder(home), BUILTIN_REVISION, origin=Origin.BUILTIN)
    cache = cache or hub_cache()
    found = None if name.startswith(PATH_BEGINNINGS) else _in_home(name, home) or _in_cache(name, revision, cache)
    if found is None and (path := _path(name)).exists():
        found = _at_path(name, path)
    if found is None:
        raise _not_here(name, home, revision, cache)
    if revision is not None and found.origin is not Origin.HUB:
        raise ModelNotFound(f"{shown(name)} has no revisions: it does not come from the Hub.", "Leave revision empty.")
    return found


def _in_home(name: str, home: Path) -> ModelSource | None:
    if is_id(name) and (folder := home / "artifacts" / name).is_dir():
        return _at_path(name, folder, Origin.ARTIFACT)
    if "/" in name or name.startswith("."):
        return None
    path = models_folder(home) / name
    if path == builtin_folder(home):
        return ModelSource(BUILTIN_NAME, path, BUILTIN_REVISION, origin=Origin.BUILTIN)
    return _at_path(name, path) if path.exists() else None


def _in_cache(name: str, revision: str | None, cache: Path) -> ModelSource | None:
    repository, file = name, None
    if name.endswith(GGUF_ENDING) and name.count("/") >= 1:
        repository, _, file = name.rpartition("/")
    if not is_hub_name(repository) or (snapshot := find_snapshot(repository, revision, cache)) is None:
        return None
    packed = packed_files(snapshot.folder)
    if file is None and len(packed) > 1:
        raise ModelNotFound(
            f"{name} holds several GGUF files.", f"Name one: {', '.join(f'{name}/{each}' for each in packed[:6])}."
        )
    if file is not None and file not in packed:
        return None
    return ModelSource(name, snapshot.folder, snapshot.commit, file or next(iter(packed), None), Origin.HUB)


def packed_files(folder: Path) -> list[str]:
    """The GGUF files of a folder that holds nothing else that is loaded."""
    is_plain = any((folder / each).is_file() for each in (CONFIG_NAME, ADAPTER_CONFIG_NAME))
    return [] if is_plain else sorted(path.name for path in folder.glob(f"*{GGUF_ENDING}"))


def _path(name: str) -> Path:
    try:
        path = Path(name).expanduser().absolute()
        path.exists()
    except (RuntimeError, ValueError, OSError) as error:  # `~nobody`, a part longer than any file's name
        raise ModelNotFound(f"{shown(name)} is not the path of a folder.") from error
    return path


def _at_path(name: str, path: Path, origin: Origin = Origin.FOLDER) -> ModelSource:
    if path.is_file():
        if path.suffix != GGUF_ENDING:
            raise ModelNotFound(f"{shown(name)} is a file, but no GGUF file.", "Use the folder that it lies in.")
        return ModelSource(name, path.parent, None, path.name, Origin.GGUF)
    if any((path / each).is_file() for each in (CONFIG_NAME, ADAPTER_CONFIG_NAME)):
        return ModelSource(name, path, None, origin=origin)
    packed = packed_files(path)
    if len(packed) == 1:
        return ModelSource(name, path, None, packed[0], Origin.GGUF if origin is Origin.FOLDER else origin)
    raise ModelNotFound(
        f"The folder {shown(name)} holds no model: it has no config.json.",
        f"It holds several GGUF files: use the path of one, such as {packed[0]}."
        if packed
        else "Use the folder that holds config.json and the .safetensors files.",
    )


def _not_here(name: str, home: Path, revision: str | None, cache: Path) -> ModelNotFound:
    near = did_you_mean(each for each in nearest(name, names_here(home, cache)) if each != name)
    fetch = f"Get it with `workbench submit download --model {name}`."
    if name.startswith(PATH_BEGINNINGS) or not is_hub_name(name):
        return ModelNotFound(f"There is no model {shown(name)} on this machine.", near)
    if there := snapshots(name, cache):
        commits = ", ".join(each.commit[:12] for each in there[:4])
        fetch = f"{fetch[:-2]} --revision {shown(str(revision))[1:-1]}`."
        return NotDownloaded(f"{name} is on this machine, but not its revision {shown(str(revision))}.",
                             f"Here are: {commits}. {fetch}")  # fmt: skip
    if is_begun(name, cache):
        return NotDownloaded(f"{name} is on this machine only in part.", f"{fetch[:-1]}: it goes on where it was.")
    if near and "/" not in name:
        return ModelNotFound(f"There is no model {shown(name)} on this machine.", near)
    return NotDownloaded(f"{name} is not on this machine.", f"{fetch} {near}".strip())


def names_here(home: Path, cache: Path) -> Iterator[str]:
    """The names of all that may be a model on this machine, without looking into any."""
    yield BUILTIN_NAME
    own = builtin_folder(home).name
    with suppress(OSError):
        names = (path.name for path in models_folder(home).iterdir())
        yield from (name for name in names if not name.startswith(".") and name != own)
    yield from repositories(cache)
