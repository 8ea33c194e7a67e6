"""Refuses files that cannot be loaded, in one sentence, before any weight is read."""

from __future__ import annotations

import json
from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from core.abilities import Choice
from core.catalog import ModelSource
from core.errors import BadConfig, BadInput, ModelBroken, ModelNotFound, NotACausalModel, PickledWeights, WorkbenchError
from core.llm.memory_error import as_workbench_error
from core.memory.stored import packing_of, why_not

MOST = dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 10_000) | dict.fromkeys(
    ("hidden_size", "n_embd", "d_model", "intermediate_size", "num_attention_heads", "n_head", "vocab_size"), 10**8
)
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def checked_config(source: ModelSource, choice: Choice, may_run_code: bool = False) -> PreTrainedConfig:
    """The configuration of a model, once it is known to be one that is loaded here.

    Raises:
        ModelError: it is not, with the reason.
        BadInput: it is, but not at that precision.
    """
    config, raw = readable_config(source, choice, may_run_code)
    try:
        is_causal = _is_causal(config, raw)
    except Exception as error:
        raise explained(error, source) from error
    if not is_causal:
        raise NotACausalModel(
            f"{source.name} is not a causal language model ({declared(raw)}): it cannot continue a text."
        )
    return config


def readable_config(
    source: ModelSource, choice: Choice, may_run_code: bool = False
) -> tuple[PreTrainedConfig, dict[str, Any]]:
    """The configuration of a model of any sort whose files can be read, and the object in its file.

    Raises:
        ModelError: they cannot, with the reason.
        BadInput: they can, but not at that precision.
    """
    raw = {} if source.file else raw_config(source)
    _check_numbers(source, raw)
    _check_files(source)
    _check_precision(source, raw, choice)
    try:
        return _config(source, may_run_code), raw
    except Exception as error:
        raise explained(error, source) from error


def declared(raw: dict[str, Any]) -> str:
    """What a configuration says that the model is."""
    return ", ".join(raw.get("architectures") or []) or str(raw.get("model_type", "unknown"))


def explained(error: Exception, source: ModelSource) -> WorkbenchError:
    """What went wrong while a model was loaded, as a sentence."""
    known = as_workbench_error(error)
    if isinstance(known, WorkbenchError):
        return known
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, ImportError):
        return ModelBroken(f"{source.name} cannot be loaded here: {reason}", "Install what it needs, or use another.")
    return ModelBroken(
        f"{source.name} cannot be loaded: {reason}",
        "The folder must hold config.json, the tokenizer's files and whole .safetensors files of a known architecture.",
    )


def raw_config(source: ModelSource) -> dict[str, Any]:
    """The object in config.json.

    Raises:
        ModelNotFound: there is none.
        ModelBroken: it holds something else.
    """
    path = source.folder / "config.json"
    if not path.is_file():
        raise ModelNotFound(f"The folder of {source.name} holds no model: it has no config.json.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelBroken(f"The config.json of {source.name} cannot be read: {error}.") from error
    if not isinstance(raw, dict):
        raise ModelBroken(f"The config.json of {source.name} is not an object.")
    return raw


def _check_numbers(source: ModelSource, raw: dict[str, Any]) -> None:
    """Nothing is built from numbers that no model has: 10^12 layers would be built one by one until memory ends."""
    for part in (raw, *(one for one in raw.values() if isinstance(one, dict))):
        for name, most in MOST.items():
            value = part.get(name)
            if isinstance(value, int | float) and not 1 <= value <= most:
                raise BadConfig(f"The config.json of {source.name} says {name} = {value}: no model has that.")


def _config(source: ModelSource, may_run_code: bool) -> PreTrainedConfig:
    where = {"gguf_file": source.file} if source.file else {}
    config: PreTrainedConfig = AutoConfig.from_pretrained(
        source.folder, local_files_only=True, trust_remote_code=may_run_code, **where
    )
    return config


def _check_files(source: ModelSource) -> None:
    if source.file or any(source.folder.glob("*.safetensors")):
        return
    if any(found for pattern in PICKLED for found in source.folder.glob(pattern)):
        raise PickledWeights(
            f"The weights of {source.name} are pickled: reading such a file can run code that is hidden in it.",
            f"Convert them once to safetensors: workbench submit convert --model {source.name}",
        )
    raise ModelBroken(
        f"The folder {source.name} holds no weights in the safetensors format.",
        "Copy or download the folder again.",
    )


def _check_precision(source: ModelSource, raw: dict[str, Any], choice: Choice) -> None:
    if source.file and choice.precision.is_quantized:
        raise BadInput(
            f"{source.name} is a GGUF file: it is unpacked as it is loaded, and {choice.precision} is not made of it.",
            "Take float32, bfloat16 or float16.",
        )
    packing = packing_of(raw)
    if packing and choice.precision.is_quantized and (why := why_not(packing, choice.precision)):
        raise BadInput(f"{choice.precision} does not apply to {source.name}: {why}.", "Take auto.")


def _is_causal(config: PreTrainedConfig, raw: dict[str, Any]) -> bool:
    if "auto_map" in raw:  # its own code says what it is
        return "AutoModelForCausalLM" in raw["auto_map"] or type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or config.is_encoder_decoder:
        return False
    # a classifier or a bare encoder has a causal class too, whose head would be random numbers
    return set(raw.get("architectures") or []) <= _causal_names()


def _causal_names() -> set[str]:
    names: set[str] = set()
    for entry in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        names.update([entry] if isinstance(entry, str) else entry)
    return names
