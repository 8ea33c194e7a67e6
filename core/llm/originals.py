"""A model's weights as its files hold them, found by the names that its modules have in memory and read one at a time.

Names differ between the two: a base model is stored without its prefix, old checkpoints use old names, an adapter wraps
what it changes. What transformers merges or splits as it loads has no counterpart; nor has what is stored packed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightRenaming, rename_source_key
from transformers.pytorch_utils import Conv1D

from core.catalog import ModelSource
from core.catalog.weights import Form, weights_of
from core.errors import ModelBroken

WRAPPED, WRAPPER = ".base_layer", "base_model.model."  # of peft


class Originals:
    """The two-dimensional weights of a model's files."""

    def __init__(self, model: PreTrainedModel, source: ModelSource) -> None:
        """
        Raises:
            ModelBroken: a file is missing or damaged.
        """
        self._modules = dict(model.named_modules())
        self._files = _files_of(source)
        wanted = {f"{plain_name(name)}.weight" for name, each in self._modules.items() if hasattr(each, "weight")}
        self._stored = _stored_names(model, wanted, self._files)

    def stored_name(self, module: str) -> str | None:
        """What the files call the weight of a module; None where they have none."""
        return self._stored.get(f"{plain_name(module)}.weight")

    def read(self, module: str) -> Tensor | None:
        """The weight of a module as (rows, columns): a row for each output, in the dtype of the file.

        None where the files hold none that could be compared.

        Raises:
            ModelBroken: a file is not what it was when the model was loaded.
        """
        name = self.stored_name(module)
        if name is None:
            return None
        with _opened(self._files[name]) as file:
            weight: Tensor = file.get_tensor(name)
        if not weight.is_floating_point() or weight.itemsize < 2 or weight.ndim != 2:
            return None  # packed already, with scales beside it
        weight_N_K = weight.T if _is_transposed(self._modules[module]) else weight
        return weight_N_K if tuple(weight_N_K.shape) == shape_of(self._modules[module]) else None


def plain_name(module: str) -> str:
    """A module's name without what an adapter has put around it."""
    return module.removeprefix(WRAPPER).replace(WRAPPED, "")


def shape_of(module: nn.Module) -> tuple[int, int]:
    """(outputs, inputs) of a linear layer, packed or not; (0, 0) of anything else."""
    if isinstance(module, Conv1D):
        n_in, n_out = module.weight.shape
        return int(n_out), int(n_in)
    return int(getattr(module, "out_features", 0)), int(getattr(module, "in_features", 0))


def _is_transposed(module: nn.Module) -> bool:
    """GPT-2's layers are stored the other way round; one that was packed remembers what it was."""
    return isinstance(module, Conv1D) or getattr(module, "source_cls", None) is Conv1D


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise ModelBroken(f"{path.name} cannot be read: {error}.") from error


def _files_of(source: ModelSource) -> dict[str, Path]:
    """Every tensor of the safetensors files, with the file that holds it."""
    if source.file:
        return {}
    weights = weights_of(source.folder)
    found: dict[str, Path] = {}
    for path in (source.folder / name for name in weights.files if weights.form is Form.SAFETENSORS):
        with _opened(path) as file:
            found |= dict.fromkeys(file.keys(), path)
    return found


def _stored_names(model: PreTrainedModel, wanted: set[str], stored: Iterable[str]) -> dict[str, str]:
    """For each name in memory the one in the files, as transformers itself would rename it; else by a common end."""
    mapping: Any = get_model_conversion_mapping(model)
    renamings = [one for one in mapping if isinstance(one, WeightRenaming)]
    known = dict.fromkeys(wanted, True)
    found: dict[str, str] = {}
    unmatched: list[str] = []
    for name in sorted(stored):
        renamed, _ = rename_source_key(name, renamings, [], model.base_model_prefix, known)
        if renamed in known:
            found[renamed] = name
        else:
            unmatched.append(name)
    return _by_their_ends(wanted - found.keys(), unmatched) | found


def _by_their_ends(wanted: Iterable[str], stored: Iterable[str]) -> dict[str, str]:
    """Pairs of which one is the other with something in front, where either has one partner alone."""
    pairs = [(name, each) for each in stored for name in wanted if _is_end(name, each) or _is_end(each, name)]
    names, partners = Counter(name for name, _ in pairs), Counter(each for _, each in pairs)
    return {name: each for name, each in pairs if names[name] == partners[each] == 1}


def _is_end(end: str, name: str) -> bool:
    return f".{name}".endswith(f".{end}")
