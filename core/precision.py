"""The precisions in which a model can be kept, by the names that people type. Without torch: the page offers them too.

What a precision takes in bytes is in `core.memory`; whether it runs on a machine is in `core.llm.abilities`.
"""

from __future__ import annotations

from enum import StrEnum

from core.errors import BadInput


class Precision(StrEnum):
    """How a model's weights are kept."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"
    NF4 = "nf4"
    NF4_DQ = "nf4-dq"
    FP4 = "fp4"
    FP4_DQ = "fp4-dq"

    @property
    def is_quantized(self) -> bool:
        """Whether bitsandbytes packs the linear layers."""
        return self not in (Precision.FLOAT32, Precision.BFLOAT16, Precision.FLOAT16)

    @property
    def is_4bit(self) -> bool:
        """Whether a weight takes half a byte."""
        return self.is_quantized and self is not Precision.INT8

    @property
    def element_bytes(self) -> int:
        """Bytes of a weight that is not packed, of an activation and of a cached key."""
        return 4 if self is Precision.FLOAT32 else 2

    @property
    def kept_as(self) -> str:
        """The dtype of all that is not packed."""
        return "bfloat16" if self.is_quantized else str(self)


SHORT = {
    "fp32": "float32", "float": "float32", "bf16": "bfloat16", "fp16": "float16", "half": "float16",
    "8bit": "int8", "4bit": "nf4",
}  # fmt: skip


def usual_name(text: str) -> str:
    """The name of a precision for one of its short forms; what is no short form is given back as it is."""
    word = text.strip().lower().replace("_", "-").removeprefix("torch.")
    return SHORT.get(word, word)


def parse_precision(text: str) -> Precision:
    """A precision by its name or the usual short form.

    Raises:
        BadInput: there is none of that name.
    """
    try:
        return Precision(usual_name(text))
    except ValueError:
        raise BadInput(f"There is no precision {text!r}. There are: {', '.join(Precision)}.") from None
