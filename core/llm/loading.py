"""Loads a causal language model from a folder of this machine, and turns prompts into its tokens.

Nothing is fetched and no code from the folder runs. Quantized folders and adapters are not loaded here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from core.catalog import ModelSource
from core.errors import BadInput, ModelBroken, ModelNotFound, NotACausalModel, WorkbenchError
from core.llm.measure import device_name
from core.llm.memory_error import as_workbench_error
from core.precision import Precision
from core.values import Message

# what configurations call the longest sequence, in the order in which they are trusted
LENGTH_FIELDS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length")
LENGTH_IF_UNKNOWN = 2048
LENGTH_UNSET = 10**9  # tokenizers write 10**30 where they know no limit


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory, with its tokenizer and what people want to know of both."""

    model: PreTrainedModel
    tokenizer: Any
    source: ModelSource
    precision: Precision
    device: str
    """As torch writes it: `cpu`, `cuda:0`."""
    device_name: str
    context_length: int
    eos_ids: frozenset[int]
    """Each of these tokens ends an answer."""
    weights_bytes: int
    load_s: float


def load(source: ModelSource, device: str | None = None) -> LoadedModel:
    """Load a model onto `device` (the first card, else the processor), in the precision that suits it.

    Raises:
        ModelNotFound: the folder is not there.
        ModelBroken: its files are incomplete, damaged or of a sort that is not loaded.
        NotACausalModel: it cannot continue a text.
        OutOfMemory: the device is too small for it.
    """
    started_s = time.perf_counter()
    device = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    # bfloat16 is half the bytes on a card; processors without its instructions run it at half the speed
    precision = Precision.BFLOAT16 if device.startswith("cuda") else Precision.FLOAT32
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # its bars are for notebooks; they would fill the worker's log
    config = _checked_config(source)
    try:
        model, tokenizer = _model(source, config, device, precision), _tokenizer(source)
    except Exception as error:
        raise _explained(error, source) from error
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        precision=precision,
        device=device,
        device_name=device_name(device),
        context_length=_context_length(config, tokenizer),
        eos_ids=_eos_ids(model, tokenizer),
        weights_bytes=_weights_bytes(model),
        load_s=time.perf_counter() - started_s,
    )


def encode_chat(loaded: LoadedModel, messages: Sequence[Message]) -> list[int]:
    """The tokens of a conversation, by the model's own template, up to where the answer begins.

    Raises:
        BadInput: the model has no template, or its template refuses this order of roles.
    """
    if not loaded.tokenizer.chat_template:
        raise BadInput(
            f"{loaded.source.name} has no chat template: it continues texts but was not made for conversations.",
            "Use the completion mode.",
        )
    turns = [message.model_dump() for message in messages]
    try:
        ids = loaded.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    except TemplateError as error:
        raise BadInput(f"The chat template of {loaded.source.name} refuses this conversation: {error}.") from error
    return [int(each) for each in ids]


def encode_text(loaded: LoadedModel, prompt: str) -> list[int]:
    """The tokens of a text to continue, with the beginning that the model expects, if any."""
    return [int(each) for each in loaded.tokenizer(prompt)["input_ids"]]


def _checked_config(source: ModelSource) -> PreTrainedConfig:
    """The folder's configuration, once it is known to be of a model that this module loads."""
    raw = _raw_config(source)
    if "quantization_config" in raw:
        raise ModelBroken(
            f"{source.name} is stored quantized, which this version does not load.",
            "Use the folder of the unquantized model.",
        )
    if not any(source.folder.glob("*.safetensors")):
        raise ModelBroken(
            f"The folder {source.name} holds no weights in the safetensors format.",
            "Other formats can run code when they are read. Convert the model with save_pretrained.",
        )
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            source.folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise _explained(error, source) from error
    if not _is_causal(config, raw):
        declared = ", ".join(raw.get("architectures") or []) or raw.get("model_type", "unknown")
        raise NotACausalModel(f"{source.name} is not a causal language model ({declared}): it cannot continue a text.")
    return config


def _raw_config(source: ModelSource) -> dict[str, Any]:
    path = source.folder / "config.json"
    if not path.is_file():
        raise ModelNotFound(f"The folder of {source.name} holds no model: it has no config.json.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelBroken(f"The config.json of {source.name} cannot be read: {error}.") from error
    if not isinstance(raw, dict):
        raise ModelBroken(f"The config.json of {source.name} is not an object.")
    return raw


def _is_causal(config: PreTrainedConfig, raw: dict[str, Any]) -> bool:
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or config.is_encoder_decoder:
        return False
    # a classifier or a bare encoder has a causal class too, whose head would be random numbers
    return set(raw.get("architectures") or []) <= _causal_names()


def _causal_names() -> set[str]:
    names: set[str] = set()
    for entry in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        names.update([entry] if isinstance(entry, str) else entry)
    return names


def _model(source: ModelSource, config: PreTrainedConfig, device: str, precision: Precision) -> PreTrainedModel:
    from_pretrained: Any = AutoModelForCausalLM.from_pretrained  # its type leaves out the pair that the report makes
    model, report = from_pretrained(
        source.folder,
        config=config,
        dtype=getattr(torch, precision),
        device_map={"": device} if device.startswith("cuda") else None,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if missing := sorted(report["missing_keys"]):
        raise ModelBroken(
            f"The weights of {source.name} are incomplete: {len(missing)} tensors are missing, such as {missing[0]}.",
            "Copy or download the folder again.",
        )
    loaded: PreTrainedModel = model.eval()
    return loaded


def _weights_bytes(model: PreTrainedModel) -> int:
    return sum(each.nbytes for each in (*model.parameters(), *model.buffers()))  # tied weights are listed once


def _tokenizer(source: ModelSource) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)
    tokenizer.decode([0])  # some broken tokenizers fail only when they are used
    return tokenizer


def _explained(error: Exception, source: ModelSource) -> WorkbenchError:
    known = as_workbench_error(error)
    if isinstance(known, WorkbenchError):
        return known
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ModelBroken(
        f"{source.name} cannot be loaded: {reason}",
        "The folder must hold config.json, the tokenizer's files and whole .safetensors files of a known architecture.",
    )


def _context_length(config: PreTrainedConfig, tokenizer: Any) -> int:
    text_config = config.get_text_config(decoder=True)
    for field in LENGTH_FIELDS:
        if isinstance(length := getattr(text_config, field, None), int) and length > 0:
            return length
    limit = tokenizer.model_max_length
    return int(limit) if limit < LENGTH_UNSET else LENGTH_IF_UNKNOWN


def _eos_ids(model: PreTrainedModel, tokenizer: Any) -> frozenset[int]:
    """The model's own settings decide; a tokenizer's idea of the end counts only where they are silent."""
    own = getattr(model.generation_config, "eos_token_id", None)
    ids = tokenizer.eos_token_id if own is None else own
    return frozenset([ids] if isinstance(ids, int) else ids or [])
