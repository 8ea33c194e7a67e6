"""What one model on this machine is, by its files alone: the headers of its weights are read, the weights never.

A folder that is broken is described too: `problem` says in a sentence why it cannot be loaded.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from core.catalog.card import architecture_of, context_length_of, has_chat_template, licence_of, role_of
from core.catalog.source import ModelSource
from core.catalog.stored import count, dtype_of, parameters_of, read_weights
from core.catalog.weights import ADAPTER_CONFIG_NAME, CONFIG_NAME, Form, Weights, is_adapter
from core.errors import WorkbenchError
from core.memory.config import Config
from core.memory.files import read_config
from core.memory.gguf import read_gguf
from core.memory.headers import Stored, file_reader
from core.memory.model import read_model
from core.memory.shapes import is_known
from core.values import ModelInfo, Role

WAY_OUT = "convert"


def describe(source: ModelSource) -> ModelInfo:
    """All that is known of a model without loading it. Whatever its files hold, this raises nothing."""
    try:
        if source.file is not None:
            return _packed(source, source.file)
        return _adapter(source) if is_adapter(source.folder) else _model(source)
    except WorkbenchError as error:
        problem = error.message
    except (OSError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError, struct.error) as error:
        problem = f"Its files cannot be read ({type(error).__name__})."
    return _info(source, role=Role.OTHER, problem=problem)


def _info(source: ModelSource, **fields: Any) -> ModelInfo:
    fields.setdefault("n_bytes", folder_bytes(source))
    return ModelInfo(name=source.name, revision=source.revision, origin=source.origin, **fields)


def folder_bytes(source: ModelSource) -> int:
    """What the files take on the disk; of a GGUF file, that file alone."""
    try:
        paths = [source.folder / source.file] if source.file else [p for p in source.folder.rglob("*") if p.is_file()]
        return sum(path.stat().st_size for path in paths)
    except OSError:
        return 0


def _packed(source: ModelSource, file: str) -> ModelInfo:
    found = read_gguf(file_reader(source.folder / file))
    config = found.config()
    largest = Counter[str]()
    for tensor in found.tensors:
        largest[tensor.dtype] += tensor.n_bytes
    end = sum(tensor.n_bytes for tensor in found.tensors)
    is_cut = folder_bytes(source) < end
    kind = str(found.values.get("general.architecture", ""))[:60]
    return _info(
        source,
        role=Role.CAUSAL,
        model_type=kind,
        architecture=kind,
        parameters=sum(prod(tensor.shape) for tensor in found.tensors),
        context_length=context_length_of(config),
        stored_as=f"gguf {largest.most_common(1)[0][0]}" if largest else "gguf",
        licence=str(found.values.get("general.license", ""))[:60] or licence_of(source.folder),
        has_chat_template=bool(found.values.get("tokenizer.chat_template")),
        problem=f"{file} is cut off: it is shorter than its header says." if is_cut else "",
    )


def _adapter(source: ModelSource) -> ModelInfo:
    settings = read_config(source.folder / ADAPTER_CONFIG_NAME)
    weights, stored, problem = read_weights(source.folder)
    base = settings.get("base_model_name_or_path")
    return _info(
        source,
        role=Role.ADAPTER,
        model_type=str(settings.get("peft_type") or "")[:60].lower(),
        architecture="PEFT adapter",
        parameters=count(stored),
        stored_as=dtype_of(stored),
        licence=licence_of(source.folder),
        has_chat_template=has_chat_template(source.folder),
        base=str(base)[:500] if base else "",
        problem=problem,
        way_out=_way_out(weights),
    )


def _model(source: ModelSource) -> ModelInfo:
    config = read_config(source.folder / CONFIG_NAME)
    weights, stored, problem = read_weights(source.folder)
    unsound = _unsound(config, stored)
    quantizer = _quantizer(config)
    return _info(
        source,
        role=role_of(config, is_known(config)),
        model_type=_word(config.get("model_type")),
        architecture=architecture_of(config),
        parameters=parameters_of(config, stored, bool(quantizer)) if not unsound else None,
        context_length=context_length_of(config),
        stored_as=quantizer or dtype_of(stored) or _word(config.get("dtype") or config.get("torch_dtype")),
        licence=licence_of(source.folder),
        has_chat_template=has_chat_template(source.folder),
        problem=unsound or problem,
        way_out="" if unsound else _way_out(weights),
    )


def _way_out(weights: Weights) -> str:
    return WAY_OUT if weights.form is Form.PICKLED else ""


def _unsound(config: Mapping[str, Any], stored: Iterable[Stored]) -> str:
    """Why no model can have these settings; "" where one could."""
    try:
        read_model(config, tuple(stored))
        if not is_known(config):
            for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"):
                Config(config).optional(name)
    except WorkbenchError as error:
        return error.message
    return ""


def _quantizer(config: Mapping[str, Any]) -> str:
    said = config.get("quantization_config")
    if not isinstance(said, Mapping):
        return ""
    bits = next((said[key] for key in ("bits", "w_bit") if isinstance(said.get(key), int)), None)
    return f"{_word(said.get('quant_method')) or 'quantized'}{f' {bits} bit' if bits else ''}"


def _word(value: object) -> str:
    return value[:60] if isinstance(value, str) else ""
