"""Which model is meant and how it is loaded: the fields that every job with a model shares, and the value they make.

The words are those of `from_pretrained`; older spellings are understood and said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field
from pydantic.config import JsonDict

from core.catalog import BUILTIN_NAME
from core.precision import Precision, usual_name
from core.spec import Spec

ADVANCED: JsonDict = {"advanced": True}
AUTO = "auto"
THRESHOLD = 6.0

Dtype = Literal["auto", "float32", "bfloat16", "float16", "int8", "nf4", "nf4-dq", "fp4", "fp4-dq"]
AttentionChoice = Literal["auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3"]


class Attention(StrEnum):
    """How attention is computed."""

    EAGER = "eager"
    SDPA = "sdpa"
    FLASH_2 = "flash_attention_2"
    FLASH_3 = "flash_attention_3"


@dataclass(frozen=True, slots=True)
class Variant:
    """A model as it is asked for. `auto` leaves a choice to the worker, which knows its card."""

    model: str
    revision: str | None = None
    dtype: str = AUTO
    attn_implementation: str = AUTO
    llm_int8_threshold: float = THRESHOLD
    adapter: str | None = None

    @property
    def load_key(self) -> str:
        """The same for jobs that can share one model in memory: adapters lie beside it."""
        threshold = f" threshold={self.llm_int8_threshold:g}" if self.dtype == Precision.INT8 else ""
        return f"{self.model}@{self.revision or ''} {self.dtype} {self.attn_implementation}{threshold}"


class ModelSpec(Spec):
    """The fields of a job that uses a model."""

    model: str = Field(
        BUILTIN_NAME,
        min_length=1,
        max_length=500,
        description="A Hub name, a folder, a GGUF file, or the id of a model that a job made",
    )
    revision: str | None = Field(
        None,
        max_length=200,
        description="Branch, tag or commit of a Hub model; empty: the one that is here",
        json_schema_extra=ADVANCED,
    )
    adapter: str | None = Field(
        None,
        max_length=500,
        description="A LoRA adapter on top: a Hub name, a folder or the id of one that a job made",
        json_schema_extra=ADVANCED,
    )
    dtype: Dtype = Field(
        "auto", description="How the weights are kept; auto takes the best 16 bit of the card, float32 on a processor"
    )
    attn_implementation: AttentionChoice = Field(
        "auto", description="How attention is computed; auto takes the best that runs", json_schema_extra=ADVANCED
    )
    llm_int8_threshold: float = Field(
        THRESHOLD,
        ge=0,
        le=1000,
        description="int8 alone: columns of activations beyond this are multiplied in 16 bit",
        json_schema_extra=ADVANCED,
    )

    @property
    def variant(self) -> Variant:
        """What is to be loaded."""
        return Variant(
            self.model, self.revision, self.dtype, self.attn_implementation, self.llm_int8_threshold, self.adapter
        )

    @classmethod
    def understand(cls, fields: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The fields in today's spelling, and a word on each that was spelled as in older texts."""
        mapped = {name: value for name, value in fields.items() if name not in OLD_NAMES}
        meant = dict(_meant(fields))
        words = [_word(name, dtype, mapped.get("dtype")) for name, dtype in meant.items()]
        for dtype in filter(None, meant.values()):
            mapped.setdefault("dtype", dtype)
        if isinstance(given := mapped.get("dtype"), str):
            mapped["dtype"] = usual_name(given)
        return mapped, tuple(words)


OLD_NAMES = ("torch_dtype", "load_in_8bit", "load_in_4bit", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant")


def _meant(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each old name with the dtype that it stands for; "" where it asks for nothing."""
    if "torch_dtype" in fields:
        yield "torch_dtype", usual_name(str(fields["torch_dtype"]))
    if "load_in_8bit" in fields:
        yield "load_in_8bit", "int8" if fields["load_in_8bit"] else ""
    if "load_in_4bit" in fields:
        kind = str(fields.get("bnb_4bit_quant_type", "nf4"))
        double = "-dq" if fields.get("bnb_4bit_use_double_quant") else ""
        yield "load_in_4bit", f"{kind}{double}" if fields["load_in_4bit"] else ""


def _word(name: str, dtype: str, chosen: object) -> str:
    if not dtype:
        return f"{name} asks for nothing: leave it out."
    if chosen is not None:
        return f"{name} was left out, since dtype says {chosen}."
    return f"{name} was taken as dtype={dtype}, its name today."
