"""The files of a base that an adapter is merged into: which tensor lies where, and which module of the model it is.

The model is built without memory for its weights, to learn its modules' names and kinds; weights are read one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from core.abilities import Choice
from core.catalog import ModelSource
from core.catalog.stored import dtype_of, read_weights
from core.catalog.weights import Form
from core.errors import ModelBroken, PickledWeights
from core.llm.checks import checked_config, explained, raw_config
from core.llm.originals import Originals
from core.memory.headers import Stored, file_reader, read_header
from core.precision import Precision
from core.variant import Attention

SKELETON = Choice(Precision.FLOAT32, Attention.EAGER, "float32", 0.0, may_fall_back=True)


@dataclass(frozen=True)
class Shard:
    """One file of the base's weights, and its tensors in the order in which they lie there."""

    path: Path
    tensors: tuple[Stored, ...]


class Base:
    """A base whose weights lie dense in safetensors files.

    Args:
        may_run_code: whether an administrator allows the code that comes with it.
    """

    def __init__(self, source: ModelSource, may_run_code: bool = False) -> None:
        """
        Raises:
            PickledWeights: its weights must be converted first.
            ModelBroken: they are packed, incomplete or damaged.
        """
        self.source = source
        self.shards = _shards(source)
        model = _skeleton(source, may_run_code)
        self._originals = Originals(model, source)
        self.modules: dict[str, nn.Module] = dict(model.named_modules())
        self.parameters = dict(model.named_parameters(remove_duplicate=False))
        self.where = {one.name: shard.path for shard in self.shards for one in shard.tensors}
        self.embedding = self._name_of(model.get_input_embeddings)
        self.head = self._name_of(model.get_output_embeddings)
        self.is_tied = self._is_tied(model)

    @property
    def stored_as(self) -> str:
        """The dtype in which most bytes are stored."""
        return dtype_of(one for shard in self.shards for one in shard.tensors)

    def stored_name(self, parameter: str) -> str | None:
        """What the files call a parameter of the model; None where they have none."""
        module, _, last = parameter.rpartition(".")
        if parameter in self.where:
            return parameter
        weight = self._originals.stored_name(module) if module in self.modules else None
        stored = f"{weight.rpartition('.')[0]}.{last}" if weight else None
        return stored if stored in self.where else None

    def is_transposed(self, module: str) -> bool:
        """Whether the weight of a module is stored as (inputs, outputs): a row for each input."""
        return isinstance(self.modules[module], Conv1D | nn.Embedding)

    def read(self, name: str) -> Tensor:
        """One tensor by its name in the files.

        Raises:
            ModelBroken: the file is not what it was.
        """
        try:
            with safe_open(self.where[name], framework="pt") as file:
                found: Tensor = file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise ModelBroken(f"{self.where[name].name} cannot be read: {error}.") from error
        return found

    def _name_of(self, get: Callable[[], nn.Module | None]) -> str:
        wanted = get()
        return next((name for name, one in self.modules.items() if one is wanted), "") if wanted is not None else ""

    def _is_tied(self, model: Any) -> bool:
        said = bool(getattr(model.config.get_text_config(decoder=True), "tie_word_embeddings", False))
        return said and bool(self.embedding) and bool(self.head) and self.embedding != self.head


def _shards(source: ModelSource) -> tuple[Shard, ...]:
    if source.file:
        raise ModelBroken(
            f"{source.name} is a GGUF file, whose weights are packed: an adapter is merged into dense ones.",
            "Name the model that it was made of, with safetensors, as the base.",
        )
    if raw_config(source).get("quantization_config"):
        raise ModelBroken(
            f"{source.name} holds quantized weights: an adapter is merged into those that they were made of.",
            "Name the unquantized model as the base.",
        )
    weights, _, problem = read_weights(source.folder)
    if weights.form is Form.PICKLED:
        raise PickledWeights(
            f"The weights of {source.name} are pickled: reading such a file can run code that is hidden in it.",
            f"Convert them once to safetensors: workbench submit convert --model {source.name}",
        )
    if problem or not weights.files:
        raise ModelBroken(f"{source.name} cannot be merged into. {problem}".strip(), "Download or copy it again.")
    paths = [source.folder / name for name in weights.files]
    return tuple(Shard(path, read_header(file_reader(path))) for path in paths)


def _skeleton(source: ModelSource, may_run_code: bool) -> Any:
    """The model without weights: its parameters have shapes and no memory."""
    config = checked_config(source, SKELETON, may_run_code)
    build: Any = AutoModelForCausalLM.from_config
    try:
        with torch.device("meta"):
            return build(config, trust_remote_code=may_run_code)
    except Exception as error:
        raise explained(error, source) from error
