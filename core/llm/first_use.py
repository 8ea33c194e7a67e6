"""Imports what a load will need before it is measured: code that is read for the first time is no part of a model."""

from __future__ import annotations

import contextlib
import logging
from importlib import import_module

from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from core.abilities import Choice
from core.catalog import ModelSource

ALWAYS = ("accelerate", "transformers.models.auto.tokenization_auto", "transformers.tokenization_utils_tokenizers")
TO_PACK = (
    "bitsandbytes", "transformers.integrations.bitsandbytes",
    "transformers.quantizers.quantizer_bnb_4bit", "transformers.quantizers.quantizer_bnb_8bit",
)  # fmt: skip


def import_what_loads(source: ModelSource, choice: Choice) -> None:
    """Import the model's class and what packs it. What is not there, or broken, the loader explains."""
    # in int8 it warns once a layer and step that inputs are cast, which filled a worker's log with thousands of lines
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    for name in (*ALWAYS, *(TO_PACK if choice.precision.is_quantized else ())):
        with contextlib.suppress(Exception):
            import_module(name)
    with contextlib.suppress(Exception):
        _import_class(source)


def _import_class(source: ModelSource) -> None:
    where = {"gguf_file": source.file} if source.file else {}
    config = AutoConfig.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False, **where)
    MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]  # a mapping that imports what is asked of it
