"""The `from_pretrained` call that loads a model as it is loaded here: one description for the loader and for people.

Written without torch, so that the page can show it; `core.llm.loading` makes the same call from the same description.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.abilities import Choice
from core.catalog import ModelSource
from core.precision import Precision
from core.values import Origin


@dataclass(frozen=True)
class TorchDtype:
    """torch.<name>."""

    name: str


@dataclass(frozen=True)
class Config:
    """An instance of a configuration class of transformers."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def arguments(choice: Choice, source: ModelSource, device: str, may_run_code: bool = False) -> dict[str, Any]:
    """The keyword arguments of the call beyond where the model is; what needs torch is a `TorchDtype` or `Config`."""
    found: dict[str, Any] = {
        "dtype": TorchDtype(choice.compute_dtype),
        "attn_implementation": choice.attention,
        "device_map": {"": device} if device != "cpu" else None,
        "use_safetensors": None if source.file else True,
        "gguf_file": source.file,
        "quantization_config": _quantization(choice, source),
        "trust_remote_code": True if may_run_code else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _quantization(choice: Choice, source: ModelSource) -> Config | None:
    precision, compute = choice.precision, TorchDtype(choice.compute_dtype)
    if source.file:
        return Config("GgufConfig", {"dequantize": True})
    if precision is Precision.INT8:
        return Config("BitsAndBytesConfig", {"load_in_8bit": True, "llm_int8_threshold": choice.threshold})
    if precision.is_4bit:
        quant_type, _, double = precision.value.partition("-")
        settings = {"load_in_4bit": True, "bnb_4bit_quant_type": quant_type, "bnb_4bit_compute_dtype": compute}
        return Config("BitsAndBytesConfig", settings | ({"bnb_4bit_use_double_quant": True} if double else {}))
    return None


def as_code(choice: Choice, source: ModelSource, device: str, may_run_code: bool = False) -> str:
    """The call as a program that can be run."""
    given = arguments(choice, source, device, may_run_code)
    config = given.get("quantization_config")
    names = ["AutoModelForCausalLM", "AutoTokenizer", *([config.name] if config else [])]
    is_from_hub = source.origin is Origin.HUB
    name = source.name.removesuffix(f"/{source.file}") if source.file else source.name
    where = repr(name if is_from_hub else str(source.folder))
    at = {"revision": source.revision} if is_from_hub and source.revision else {}
    of_tokenizer = at | ({"gguf_file": source.file} if source.file else {})
    return "\n".join(
        (
            "import torch",
            f"from transformers import {', '.join(sorted(names))}",
            "",
            f"tokenizer = AutoTokenizer.from_pretrained({_call(where, of_tokenizer)})",
            f"model = AutoModelForCausalLM.from_pretrained({_call(where, at | given)})",
            "",
        )
    )


def _call(first: str, named: Mapping[str, Any]) -> str:
    return ", ".join([first, *(f"{name}={_expression(value)}" for name, value in named.items())])


def _expression(value: Any) -> str:
    if isinstance(value, TorchDtype):
        return f"torch.{value.name}"
    if isinstance(value, Config):
        return f"{value.name}({', '.join(f'{name}={_expression(one)}' for name, one in value.arguments.items())})"
    return repr(value)
