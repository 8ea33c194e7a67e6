"""Takes a model off this machine: a snapshot of the Hub's cache, or what lies directly below the home's `models`."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.catalog.builtin import BUILTIN_NAME, builtin_folder
from core.catalog.cache import find_snapshot, hub_cache, is_begun, repository_folder, snapshots
from core.catalog.names import did_you_mean, is_hub_name, nearest, shown
from core.catalog.source import models_folder, names_here
from core.errors import ModelNotFound, NotAllowed, SetupError, WorkbenchError
from core.ids import is_id


def remove(name: str, revision: str | None, home: Path, cache: Path | None = None) -> int:
    """Delete a model for good; the bytes that this frees. Without a revision, all that is here of a Hub model goes.

    Raises:
        NotAllowed: it is the built-in model, belongs to a job, or lies outside the home.
        ModelNotFound: there is no such model or revision here.
        SetupError: the files may not be deleted.
    """
    cache = cache or hub_cache()
    try:
        return _remove(name, revision, home, cache)
    except WorkbenchError:
        raise  # one of them is a PermissionError too
    except OSError as error:
        raise SetupError(f"{name} cannot be deleted: {error.strerror or type(error).__name__}.") from error


def _remove(name: str, revision: str | None, home: Path, cache: Path) -> int:
    path = _in_home(name, home)
    if path is not None:
        return _delete(path)
    repository = name.rpartition("/")[0] if name.endswith(".gguf") and name.count("/") == 2 else name
    if is_hub_name(repository) and is_begun(repository, cache):
        return _remove_snapshots(repository, revision, cache)
    near = did_you_mean(nearest(name, names_here(home, cache)))
    raise ModelNotFound(f"There is no model {shown(name)} on this machine to remove.", near)


def _in_home(name: str, home: Path) -> Path | None:
    """The folder or file below the home's `models` that a name or path means."""
    if name == BUILTIN_NAME or name == builtin_folder(home).name:
        raise NotAllowed("The built-in model stays: it is what works without a network.")
    if is_id(name) and (home / "artifacts" / name).exists():
        raise NotAllowed(f"{name} was made by a job.", "It goes when that job is deleted.")
    folder = models_folder(home).resolve()
    if "\0" in name or len(name) > 500:
        raise ModelNotFound(f"{shown(name)} cannot be the name of a model.")
    path = folder / name if "/" not in name else Path(name).expanduser()
    if "/" in name and not path.is_absolute():
        return None
    if not path.exists() or path.name.startswith("."):
        return None
    if path.parent.resolve() != folder or path.name in ("", ".", ".."):
        raise NotAllowed(
            f"{shown(name)} lies outside the workbench's own models.", f"Only what is directly in {folder} is removed."
        )
    if path.resolve() == builtin_folder(home).resolve():
        raise NotAllowed("The built-in model stays: it is what works without a network.")
    return path


def _delete(path: Path) -> int:
    """Delete a file, a folder or a link; what a link leads to stays."""
    if path.is_symlink() or path.is_file():
        n_bytes = path.lstat().st_size
        path.unlink()
        return n_bytes
    n_bytes = _bytes_of(path)
    beside = path.with_name(f".{path.name}.removed")
    path.rename(beside)  # in one step: whoever looks meanwhile sees the whole model or none
    shutil.rmtree(beside)
    return n_bytes


def _remove_snapshots(name: str, revision: str | None, cache: Path) -> int:
    from huggingface_hub import scan_cache_dir

    folder = repository_folder(name, cache)
    commits = [each.commit for each in snapshots(name, cache)]
    if revision is not None:
        found = find_snapshot(name, revision, cache)
        if found is None:
            raise ModelNotFound(
                f"{name} is here, but not its revision {shown(revision)}.", f"Here are: {', '.join(commits)}."
            )
        if commits != [found.commit]:
            # other commits may share its blobs: the library that laid them out knows which are free
            strategy = scan_cache_dir(cache).delete_revisions(found.commit)
            strategy.execute()
            return int(strategy.expected_freed_size)
    n_bytes = _bytes_of(folder)
    if commits:
        scan_cache_dir(cache).delete_revisions(*commits).execute()
    shutil.rmtree(folder, ignore_errors=True)  # what is half here, and old references
    return n_bytes


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
