"""Which of a folder's files hold its weights, and which small files belong to a model. By names alone: nothing is read
but an index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CONFIG_NAME, ADAPTER_CONFIG_NAME = "config.json", "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
INDEX_NAME = "model.safetensors.index.json"
PICKLED_INDEX_NAME = "pytorch_model.bin.index.json"
PICKLED = (".bin", ".pt", ".pth")
# of the Trainer or of other libraries: pickles, but no weights of the model
NO_WEIGHTS = re.compile(r"(training_args|optimizer|scheduler|rng_state.*|scaler|trainer_state)\.(bin|pt|pth)")
SMALL = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".md")
NEVER = re.compile(r"(onnx|tf_model|flax_model|rust_model|openvino|coreml|model_index|trainer_state|.*\.index\.json)")


class Form(StrEnum):
    """How weights are stored."""

    SAFETENSORS = "safetensors"
    PICKLED = "pickled"
    GGUF = "gguf"


@dataclass(frozen=True, slots=True)
class Weights:
    """The files that hold the weights, in one of the forms; None where there are none."""

    form: Form | None
    files: tuple[str, ...] = ()
    index: str | None = None


NONE = Weights(None)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole model; some trainings leave their base's config.json in it.

    Raises:
        ModelBroken: an index is damaged.
        OSError: the folder cannot be read.
    """
    if not (folder / ADAPTER_CONFIG_NAME).is_file():
        return False
    return not (folder / CONFIG_NAME).is_file() or set(weights_of(folder).files) <= set(ADAPTER_WEIGHTS)


def is_small_file(name: str) -> bool:
    """Whether a file beside the weights belongs to the model: its settings, tokenizer, templates or licence."""
    if "/" in name or "\\" in name or name.startswith(".") or NEVER.match(name):
        return False
    return name.endswith(SMALL) or name.upper().startswith(("LICENSE", "NOTICE"))


def choose_weights(names: Iterable[str]) -> Weights:
    """The weights to take of all `names` in one folder, in the order in which transformers looks for them.

    Where `index` is set, the files are those that it names: `files` then holds only what looks like them.
    """
    there = {name for name in names if "/" not in name and not name.startswith(".")}
    pickled = sorted(name for name in there if name.endswith(PICKLED) and not NO_WEIGHTS.fullmatch(name))
    for form, single, index, rest in (
        (Form.SAFETENSORS, "model.safetensors", INDEX_NAME, _ending(there, ".safetensors")),
        (Form.PICKLED, "pytorch_model.bin", PICKLED_INDEX_NAME, pickled),
        (Form.GGUF, "", "", _ending(there, ".gguf")),
    ):
        adapter = tuple(name for name in ADAPTER_WEIGHTS if name in rest and CONFIG_NAME not in there)[:1]
        if adapter or single in there:
            return Weights(form, adapter or (single,))
        if index in there:
            stem = single.partition(".")[0]
            return Weights(form, tuple(name for name in rest if name.startswith(f"{stem}-")), index)
        if rest := [name for name in rest if name not in ADAPTER_WEIGHTS]:
            return Weights(form, tuple(rest))
    adapter = tuple(name for name in ADAPTER_WEIGHTS if name in there)[:1]  # beside a copy of its base's config.json
    return Weights(Form.SAFETENSORS if adapter == ADAPTER_WEIGHTS[:1] else Form.PICKLED, adapter) if adapter else NONE


def _ending(names: Iterable[str], ending: str) -> list[str]:
    return sorted(name for name in names if name.endswith(ending))


def weights_of(folder: Path) -> Weights:
    """The weights of a local folder; of an index, exactly the files that it names, there or not.

    Raises:
        ModelBroken: the index is damaged.
        OSError: the folder cannot be read.
    """
    found = choose_weights(path.name for path in folder.iterdir())
    if found.index is None:
        return found
    from core.memory.headers import (
        files_of,  # here: the whole estimator comes with it, and most callers only want a name
    )

    return Weights(found.form, tuple(files_of((folder / found.index).read_bytes())), found.index)


def missing_files(folder: Path, weights: Weights) -> list[str]:
    """Those of the weights' files that are not there; links that lead nowhere are not."""
    return [name for name in weights.files if not (folder / name).is_file()]
