"""Models with a head that tells whole texts apart: which have one, and a new one over any base that can get one.

What such a model says of texts is in `core.llm.classifier`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from core.abilities import Choice
from core.catalog import ModelSource
from core.catalog.card import CLASSIFIER, architecture_of
from core.errors import BadInput, ModelBroken, NotAClassifier
from core.llm.checks import declared, explained, readable_config
from core.llm.loading import (
    LENGTH_UNSET,
    LoadedModel,
    be_quiet,
    check_whole,
    context_length_of,
    first_device,
    read_model,
)
from core.llm.measure import device_name
from core.llm.tokenizer import tokenizer_of
from core.llm.weigh import weigh
from core.memory.stored import packing_of

POOLER = "pooler"
AUTO_NAME = "AutoModelForSequenceClassification"
OF_ONE_LABEL = ("reward",)


@dataclass(frozen=True, slots=True)
class Headed:
    """A base with a head in memory; `new` are the parts of it that were not in its files, and so must be trained."""

    loaded: LoadedModel
    labels: tuple[str, ...]
    new: tuple[str, ...]


def load_headed(source: ModelSource, choice: Choice, device: str | None = None, may_run_code: bool = False) -> Headed:
    """A ready classifier or reward model.

    Raises:
        NotAClassifier: it has no such head.
        ModelError: it cannot be loaded.
        BadInput: not at that precision.
    """
    config, raw = readable_config(source, choice, may_run_code)
    _check_class(source, config, raw)
    if not architecture_of(raw).endswith(CLASSIFIER):
        raise NotAClassifier(
            f"{source.name} is no sequence classifier ({declared(raw)}): it has no labels to score a text by.",
            "Train one of it: workbench submit reward.",
        )
    return _loaded(source, config, choice, device, may_run_code, is_ready=True)


def load_with_head(
    source: ModelSource,
    choice: Choice,
    labels: Sequence[str],
    seed: int,
    device: str | None = None,
    may_run_code: bool = False,
) -> Headed:
    """A base with a head for these labels: its own where it has one for as many, else one of random numbers.

    Args:
        labels: none for a reward model, whose one number has no name.

    Raises:
        NotAClassifier: transformers has no such class for its type.
        ModelError, BadInput: it cannot be loaded, or not at that precision.
    """
    config, raw = readable_config(source, choice, may_run_code)
    _check_class(source, config, raw)
    if source.file:
        raise BadInput(
            f"{source.name} is a GGUF file, and a head is trained over dense safetensors.", "Take the dense model."
        )
    if packing_of(raw):
        raise BadInput(
            f"{source.name} is packed ({declared(raw)}), and what is learned over packed weights cannot be merged into "
            "them, as a reward is kept.",
            "Take the dense model that it was made of.",
        )
    has_own = architecture_of(raw).endswith(CLASSIFIER) and set(_labels_of(config)) == set(labels)
    names = _labels_of(config) if has_own else tuple(labels) or OF_ONE_LABEL
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    config.problem_type = "single_label_classification" if labels else None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _loaded(source, config, choice, device, may_run_code, is_ready=False)


def head_modules(model: Any) -> list[str]:
    """The names of a model's parts behind its base: score, classifier, classification_head, or several."""
    base = getattr(model, "base_model_prefix", "")
    return [name for name, part in model.named_children() if name != base and any(True for _ in part.parameters())]


def _check_class(source: ModelSource, config: PreTrainedConfig, raw: dict[str, Any]) -> None:
    has_own_code = AUTO_NAME in (raw.get("auto_map") or {})
    if config.is_encoder_decoder or not (has_own_code or type(config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING):
        raise NotAClassifier(
            f"{source.name} ({declared(raw)}) is of a type that gets no head for labels.",
            "Take a causal language model or an encoder such as BERT.",
        )


def _labels_of(config: PreTrainedConfig) -> tuple[str, ...]:
    named: dict[Any, str] = dict(config.id2label or {})
    return tuple(str(named[index]) for index in sorted(named))


def _loaded(
    source: ModelSource,
    config: PreTrainedConfig,
    choice: Choice,
    device: str | None,
    may_run_code: bool,
    *,
    is_ready: bool,
) -> Headed:
    started_s = time.perf_counter()
    device = device or first_device()
    be_quiet()
    try:
        model, missing = read_model(
            source, config, device, choice, may_run_code, AutoModelForSequenceClassification, may_differ=not is_ready
        )
        tokenizer = tokenizer_of(source)
    except Exception as error:
        raise explained(error, source) from error
    check_whole(source, missing if is_ready else [name for name in missing if not _may_be_new(name, model)])
    loaded = LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        precision=choice.precision,
        device=device,
        device_name=device_name(device),
        context_length=_context_length(model, tokenizer),
        eos_ids=frozenset(),
        weight=weigh(model),
        load_s=time.perf_counter() - started_s,
        attention=str(model.config._attn_implementation),
        compute_dtype=choice.compute_dtype,
    )
    labels = _labels_of(model.config)
    if not labels:
        raise ModelBroken(f"The config.json of {source.name} names no labels.")
    return Headed(loaded, labels, tuple(dict.fromkeys(_part(name, model) for name in missing)))


def _may_be_new(name: str, model: Any) -> bool:
    return not name.startswith(f"{model.base_model_prefix}.") or POOLER in name


def _part(name: str, model: Any) -> str:
    """The part of the model that a weight belongs to: score.weight → score, bert.pooler.dense.weight → pooler."""
    return name.removeprefix(f"{model.base_model_prefix}.").partition(".")[0]


def _context_length(model: Any, tokenizer: Any) -> int:
    """Encoders may read fewer tokens than they have positions: those of RoBERTa begin behind its padding token's."""
    length = context_length_of(model.config, tokenizer)
    if tokenizer.model_max_length < LENGTH_UNSET:
        length = min(length, int(tokenizer.model_max_length))
    for name, part in model.named_modules():
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            return min(length, int(part.num_embeddings - part.padding_idx - 1))
    return length
