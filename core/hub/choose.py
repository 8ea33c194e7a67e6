"""Which files of a repository are needed: the weights in one form, and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterable

from core.catalog.names import did_you_mean, nearest, shown
from core.catalog.weights import Form, Weights, choose_weights, is_small_file
from core.errors import BadInput, ModelBroken, ModelNotFound
from core.hub.repository import RemoteFile, Repository

MOST_SMALL_BYTES = 100 << 20
CARD = "README.md"


def weights_to_fetch(repository: Repository, file: str) -> Weights:
    """The weights to take; `file` chooses among GGUF files, by name or by a part that only one has (`Q4_K_M`).

    Raises:
        BadInput: there are several GGUF files and none was chosen, or more than one fits.
        ModelNotFound: there is no such file.
        ModelBroken: there are no weights of a form that can be used.
    """
    packed = sorted(name for name in repository.files if name.endswith(".gguf") and "/" not in name)
    if file:
        return Weights(Form.GGUF, (_the_one(repository.name, file, packed),))
    found = choose_weights(repository.files)
    if found.form is Form.GGUF and len(packed) > 1:
        raise BadInput(f"{repository.name} holds {len(packed)} GGUF files: choose one by `file`.", _listed(packed))
    if found.form is None:
        raise ModelBroken(f"{repository.name} holds no weights in a form that is used here (safetensors or GGUF).")
    return found


def _the_one(name: str, file: str, packed: list[str]) -> str:
    fitting = [each for each in packed if each == file] or [each for each in packed if file.lower() in each.lower()]
    if len(fitting) > 1:
        raise BadInput(f"{shown(file)} fits {len(fitting)} files of {name}.", _listed(fitting))
    if not fitting:
        near = did_you_mean(nearest(file, packed)) or (_listed(packed) if packed else "It holds no GGUF files.")
        raise ModelNotFound(f"{name} has no GGUF file {shown(file)}.", near)
    return fitting[0]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"There are: {', '.join(names[:12])}{more}."


def small_files(repository: Repository, weights: Weights, with_code: bool) -> list[RemoteFile]:
    """What belongs to the weights; code only where an administrator has listed this very commit."""
    if weights.form is Form.GGUF:
        return [file for file in repository.files.values() if file.name == CARD]  # the file itself says all else
    return [file for file in repository.files.values() if _is_wanted(file, with_code)]


def _is_wanted(file: RemoteFile, with_code: bool) -> bool:
    if file.n_bytes > MOST_SMALL_BYTES:
        return False
    return is_small_file(file.name) or (with_code and file.name.endswith(".py") and "/" not in file.name)


def files_named(repository: Repository, names: Iterable[str]) -> list[RemoteFile]:
    """The files of these names.

    Raises:
        ModelBroken: the repository lacks one that its own index names.
    """
    wanted = list(names)
    if missing := [name for name in wanted if name not in repository.files]:
        raise ModelBroken(
            f"{repository.name} is incomplete on the Hub: its index names {missing[0]}, which is not there."
        )
    return [repository.files[name] for name in wanted]
