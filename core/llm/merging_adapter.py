"""What the files of a LoRA adapter say, as changes to single modules of a base. Nothing of the base is read here.

What is more than a product of two small matrices, to be added to a weight, is refused in a sentence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peft.utils.other import get_pattern_key
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.catalog.weights import ADAPTER_CONFIG_NAME
from core.errors import AdapterMismatch, ModelBroken, PickledWeights
from core.llm.originals import plain_name

WEIGHTS = "adapter_model.safetensors"
USUAL_REVISION = "main"  # whichever of a model is here
PART = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_A\.weight|lora_B\.weight|lora_B\.bias|lora_embedding_A|lora_embedding_B"
    r"|lora_magnitude_vector)(\.weight)?"
)
SAVED = ".modules_to_save"  # of peft, around a module that was trained whole
# beginnings that leave the base as it was; any other writes into it, and what it wrote is not in the adapter
PLAIN_BEGINNINGS = (None, True, False, "gaussian", "orthogonal", "eva", "mica")
NOT_A_SUM = (
    "alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "megatron_config",
    "monteclora_config", "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora", "velora_config",
)  # fmt: skip


@dataclass(frozen=True)
class LowRank:
    """What is added to one module's weight: `scale` times B·A; each part by its name in the adapter's file.

    With a `magnitude` the sum is scaled row by row to that length (DoRA).
    """

    module: str
    scale: float
    rank: int
    a: str
    b: str
    bias: str | None = None
    magnitude: str | None = None
    is_embedding: bool = False


@dataclass(frozen=True)
class Adapter:
    """An adapter as its files have it.

    Attributes:
        low_rank: by the module that it changes.
        replaced: by the parameter that it replaces, the name of the tensor that takes its place.
        whole: modules that were trained whole, by the ends of their names.
        keeps_tie: whether it was trained with input and output embeddings tied to each other.
    """

    folder: Path
    base: str
    revision: str | None
    low_rank: dict[str, LowRank]
    replaced: dict[str, str]
    whole: tuple[str, ...] = ()
    keeps_tie: bool = False
    is_dora: bool = False
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def read(self, name: str) -> Tensor:
        """One of its tensors, as its file has it."""
        with safe_open(self.folder / WEIGHTS, framework="pt") as file:
            found: Tensor = file.get_tensor(name)
        return found

    @property
    def largest_bytes(self) -> int:
        """The most that the parts of one change take in float32."""
        sizes = [sum(self._bytes(part) for part in (one.a, one.b)) for one in self.low_rank.values()]
        return max([*sizes, *map(self._bytes, self.replaced.values())], default=0)

    def _bytes(self, name: str) -> int:
        return 4 * math.prod(self.shapes[name])


def read_adapter(folder: Path) -> Adapter:
    """The adapter in a folder, its tensors not yet read.

    Raises:
        AdapterMismatch: it is none, or one that cannot be merged into a weight.
        PickledWeights: its weights could run code.
        ModelBroken: its files are damaged.
    """
    config = adapter_config(folder)
    if not (folder / WEIGHTS).is_file():
        raise PickledWeights(f"The adapter {folder.name} has no {WEIGHTS}.", "Save it with save_pretrained.")
    shapes = _shapes(folder)
    parts, replaced = _sorted_out(shapes, folder.name)
    revision = config.get("revision")
    return Adapter(
        folder=folder,
        base=str(config.get("base_model_name_or_path") or ""),
        revision=str(revision) if revision and revision != USUAL_REVISION else None,
        low_rank={module: _low_rank(module, parts[module], config, shapes, folder.name) for module in parts},
        replaced=replaced,
        whole=tuple(str(one) for one in config.get("modules_to_save") or ()),
        keeps_tie=bool(config.get("ensure_weight_tying")),
        is_dora=bool(config.get("use_dora")),
        shapes=shapes,
    )


def adapter_config(folder: Path) -> dict[str, Any]:
    """The settings of an adapter that can be merged.

    Raises:
        AdapterMismatch: it is of another sort.
        ModelBroken: the file is damaged.
    """
    try:
        config = json.loads((folder / ADAPTER_CONFIG_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AdapterMismatch(f"{folder.name} is no adapter: it has no {ADAPTER_CONFIG_NAME}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelBroken(f"The {ADAPTER_CONFIG_NAME} of {folder.name} cannot be read: {error}.") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise AdapterMismatch(
            f"The adapter {folder.name} is of the kind {kind}: only LoRA can be merged here, with DoRA and rsLoRA.",
            "Use it beside its base, which is what it was made for.",
        )
    if odd := [name for name in NOT_A_SUM if config.get(name)]:
        raise AdapterMismatch(
            f"The adapter {folder.name} was made with {odd[0]}, and is more than a sum that could be merged.",
            "Use it beside its base.",
        )
    if (begun := config.get("init_lora_weights")) not in PLAIN_BEGINNINGS:
        raise AdapterMismatch(
            f"The adapter {folder.name} began with {begun}, which changed its base: what it added to is not known.",
            "Save it with path_initial_model_for_weight_conversion, which makes a plain LoRA adapter of it.",
        )
    return config


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            names = list(file.keys())
            return {name: tuple(file.get_slice(name).get_shape()) for name in sorted(names)}
    except (OSError, SafetensorError) as error:
        raise ModelBroken(f"The {WEIGHTS} of {folder.name} cannot be read: {error}.") from error


def _sorted_out(names: Iterable[str], adapter: str) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The parts of each module's change, and what is replaced whole."""
    parts: dict[str, dict[str, str]] = {}
    replaced: dict[str, str] = {}
    for name in names:
        plain = plain_name(name).replace(SAVED, "")
        if found := PART.fullmatch(plain):
            parts.setdefault(found["module"], {})[found["part"]] = name
        elif "lora_" in plain or "token_adapter" in plain or ".trainable_tokens" in plain:
            raise AdapterMismatch(f"The adapter {adapter} holds {name}, which is no part of a LoRA that can be merged.")
        else:
            replaced[plain] = name
    return parts, replaced


def _low_rank(
    module: str, parts: dict[str, str], config: dict[str, Any], shapes: dict[str, tuple[int, ...]], adapter: str
) -> LowRank:
    is_embedding = "lora_embedding_A" in parts
    a, b = (parts.get(f"lora_embedding_{one}" if is_embedding else f"lora_{one}.weight") for one in "AB")
    rank = int(_of_pattern(config, "rank_pattern", module, config.get("r", 8)))
    alpha = float(_of_pattern(config, "alpha_pattern", module, config.get("lora_alpha", 8)))
    if a is None or b is None:
        raise AdapterMismatch(f"The adapter {adapter} is incomplete: it has one half alone of what changes {module}.")
    if len(shapes[a]) != 2 or len(shapes[b]) != 2 or rank < 1 or not shapes[a][0] == shapes[b][1] == rank:
        raise AdapterMismatch(
            f"The adapter {adapter} does not go with its own settings: {a} has the shape {_shape(shapes[a])} and {b} "
            f"{_shape(shapes[b])}, where the rank is {rank}."
        )
    magnitude = parts.get("lora_magnitude_vector")
    if bool(config.get("use_dora")) != (magnitude is not None):
        raise AdapterMismatch(f"The adapter {adapter} does not go with its own settings: use_dora, at {module}.")
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return LowRank(module, scale, rank, a, b, parts.get("lora_B.bias"), magnitude, is_embedding)


def _of_pattern(config: dict[str, Any], pattern: str, module: str, usual: Any) -> Any:
    patterns: Any = config.get(pattern) or {}
    known: Collection[str] = list(patterns)
    return patterns.get(get_pattern_key(list(known), module), usual)


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(str(one) for one in shape)
