"""What the Hub's own cache on this machine holds. It is only read here, and only whole snapshots count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.catalog.names import COMMIT, COMMIT_BEGINNING, is_hub_name
from core.catalog.weights import ADAPTER_CONFIG_NAME, CONFIG_NAME, missing_files, weights_of
from core.errors import ModelBroken

PREFIX = "models--"
DEFAULT_REVISION = "main"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One commit of one repository, as far as it is here."""

    name: str
    commit: str
    folder: Path


def hub_cache() -> Path:
    """The folder of the Hub's cache, as the library that fills it sees it: HF_HUB_CACHE, else below HF_HOME."""
    from huggingface_hub import constants  # here: most commands of the command line never ask

    return Path(constants.HF_HUB_CACHE)


def repository_folder(name: str, cache: Path, prefix: str = PREFIX) -> Path:
    """Where the cache keeps a repository."""
    return cache / f"{prefix}{name.replace('/', '--')}"


def repositories(cache: Path) -> Iterator[str]:
    """The names of all repositories of models in the cache, whole or not."""
    for folder in _sorted(cache):
        if folder.name.startswith(PREFIX) and is_hub_name(name := folder.name.removeprefix(PREFIX).replace("--", "/")):
            yield name


def snapshots(name: str, cache: Path) -> list[Snapshot]:
    """The whole snapshots of a repository, the one of its main branch first, then the newest."""
    folder = repository_folder(name, cache)
    main = commit_referred(folder, DEFAULT_REVISION)
    found = [each for each in _sorted(folder / "snapshots") if COMMIT.fullmatch(each.name) and is_whole(each)]
    found.sort(key=lambda each: (each.name != main, -each.stat().st_mtime))
    return [Snapshot(name, each.name, each) for each in found]


def find_snapshot(name: str, revision: str | None, cache: Path) -> Snapshot | None:
    """The whole snapshot that a revision means: a branch or tag, a commit or its beginning; None: the likeliest one."""
    there = snapshots(name, cache)
    if revision is None:
        return there[0] if there else None
    commit = commit_referred(repository_folder(name, cache), revision) or revision
    if not COMMIT_BEGINNING.fullmatch(commit):
        return None
    matching = [each for each in there if each.commit.startswith(commit)]
    return matching[0] if len(matching) == 1 else None


def is_begun(name: str, cache: Path) -> bool:
    """Whether the cache holds anything of a repository."""
    return repository_folder(name, cache).is_dir()


def is_whole(snapshot: Path) -> bool:
    """Whether a snapshot's settings and all its weights are there. Downloads bring the weights last."""
    try:
        weights = weights_of(snapshot)
        has_config = any((snapshot / name).is_file() for name in (CONFIG_NAME, ADAPTER_CONFIG_NAME))
    except (OSError, ModelBroken):
        return False
    is_packed = weights.form == "gguf"
    return bool(weights.files) and (has_config or is_packed) and not missing_files(snapshot, weights)


def commit_referred(repository: Path, revision: str) -> str | None:
    """The commit that a branch or tag stood at when it was last fetched."""
    if ".." in revision or "\0" in revision or len(revision) > 200 or revision.startswith("/"):
        return None
    try:
        commit = (repository / "refs" / revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return commit if COMMIT.fullmatch(commit) else None


def _sorted(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
