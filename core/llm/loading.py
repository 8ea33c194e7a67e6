"""Loads a causal language model from files of this machine, at a precision and with an attention implementation.

Nothing is fetched, and no code from the folder runs unless the administrator's list names it. What can be loaded is
checked in `core.llm.checks`; prompts become tokens in `core.llm.encode`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from core.abilities import Choice
from core.catalog import ModelSource
from core.errors import BadInput, ModelBroken
from core.llm.abilities import abilities
from core.llm.checks import checked_config, explained
from core.llm.codes import keep_codes
from core.llm.measure import device_name
from core.llm.reading import Heard, heard
from core.llm.tokenizer import tokenizer_of
from core.llm.weigh import Weight, weigh
from core.precision import Precision
from core.recipe import Config, TorchDtype, arguments
from core.variant import Attention

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
    weight: Weight
    load_s: float
    attention: str = Attention.SDPA
    compute_dtype: str = "float32"

    @property
    def weights_bytes(self) -> int:
        """All that its weights take, with the state of a quantizer."""
        return self.weight.total_bytes


def first_device() -> str:
    """The first card, else the processor."""
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def load(
    source: ModelSource,
    choice: Choice | None = None,
    *,
    device: str | None = None,
    tell: Heard = lambda read, total: None,
    may_run_code: bool = False,
) -> LoadedModel:
    """Load a model onto `device` (the first card, else the processor), as `choice` says or as suits the device.

    Args:
        tell: hears how many bytes have been read, and how many there are.
        may_run_code: whether an administrator allows the code that comes with this revision.

    Raises:
        ModelNotFound: the folder is not there.
        ModelBroken: its files are incomplete, damaged or of a sort that is not loaded.
        NotACausalModel: it cannot continue a text.
        BadInput: its class has no such attention, or its files cannot be had at that precision.
        OutOfMemory: the device is too small for it.
    """
    started_s = time.perf_counter()
    device = device or first_device()
    choice = choice or usual_choice(device)
    be_quiet()
    config = checked_config(source, choice, may_run_code)
    try:
        with heard(source.folder, tell):
            model, missing = read_model(source, config, device, choice, may_run_code)
            check_whole(source, missing)
        tokenizer = tokenizer_of(source)
    except Exception as error:
        raise explained(error, source) from error
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        precision=choice.precision,
        device=device,
        device_name=device_name(device),
        context_length=context_length_of(config, tokenizer),
        eos_ids=_eos_ids(model, tokenizer),
        weight=weigh(model),
        load_s=time.perf_counter() - started_s,
        attention=str(model.config._attn_implementation),
        compute_dtype=choice.compute_dtype,
    )


def be_quiet() -> None:
    """Bars are for notebooks, and int8 would say at each layer of each step that it computes in float16."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)


def usual_choice(device: str) -> Choice:
    """How a model is loaded where nobody says it."""
    # bfloat16 is half the bytes on a card; processors without its instructions run it at half the speed
    precision = abilities(device).auto_precision
    return Choice(precision, Attention.SDPA, str(precision), 0.0, may_fall_back=True)


def read_model(
    source: ModelSource,
    config: PreTrainedConfig,
    device: str,
    choice: Choice,
    may_run_code: bool = False,
    auto: Any = AutoModelForCausalLM,
    may_differ: bool = False,
) -> tuple[PreTrainedModel, list[str]]:
    """The model as a class of `auto`, and the names of its weights that the files lack: those are random numbers.

    Args:
        may_differ: whether weights that the files have in another shape count as such.

    Raises:
        BadInput: its class has no such attention.
    """
    given: dict[str, Any] = {"trust_remote_code": False}  # else it would ask on a terminal that nobody looks at
    given |= {name: _made(value) for name, value in arguments(choice, source, device, may_run_code).items()}
    given |= {"ignore_mismatched_sizes": True} if may_differ else {}
    try:
        model, report = _from_pretrained(auto, source, config, given)
    except ValueError as error:
        if "attn_implementation" not in str(error) and "does not support" not in str(error):
            raise
        if not choice.may_fall_back:
            raise BadInput(f"{source.name} has no {choice.attention} attention: take eager.") from error
        model, report = _from_pretrained(auto, source, config, given | {"attn_implementation": "eager"})
    model.eval()  # type: ignore[no-untyped-call]
    keep_codes(model)
    return model, sorted({*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])})


def check_whole(source: ModelSource, missing: list[str]) -> None:
    """Refuse a model that lacks weights.

    Raises:
        ModelBroken: it does.
    """
    if missing:
        raise ModelBroken(
            f"The weights of {source.name} are incomplete: {len(missing)} tensors are missing, such as {missing[0]}.",
            "Copy or download the folder again.",
        )


def _from_pretrained(
    auto: Any, source: ModelSource, config: PreTrainedConfig, given: dict[str, Any]
) -> tuple[PreTrainedModel, dict[str, Any]]:
    made: tuple[PreTrainedModel, dict[str, Any]] = auto.from_pretrained(
        source.folder,
        **({} if source.file else {"config": config}),
        local_files_only=True,
        output_loading_info=True,
        **given,
    )
    return made


def _made(value: Any) -> Any:
    """What a recipe names, as the object that it is."""
    if isinstance(value, TorchDtype):
        return getattr(torch, value.name)
    if isinstance(value, Config):
        return getattr(transformers, value.name)(**{name: _made(one) for name, one in value.arguments.items()})
    return value


def context_length_of(config: PreTrainedConfig, tokenizer: Any) -> int:
    """The longest sequence that a model reads."""
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
