"""How the variants of a comparison are named: `nf4`, `bf16+eager`, `nf4+adapter=NAME`, and presets for whole sets.

One variant is one line of text: parts joined by `+`, each a precision, an attention implementation or `word=value`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from core.errors import BadInput
from core.precision import Precision, usual_name
from core.variant import AUTO, THRESHOLD, Attention, Dtype, Variant

MOST_VARIANTS = 12
LADDER = ("float32", "bfloat16", "int8", "nf4", "nf4-dq")
PRESETS: Mapping[str, tuple[str, ...]] = {
    "ladder": LADDER,
    "attention": ("eager", "sdpa", "flash_attention_2", "flash_attention_3"),
}
BEFORE_AFTER = "before-after"
WORDS = ("adapter", "merged", "threshold", "name")
SHORT_ATTENTION = {"flash": "flash_attention_2", "flash2": "flash_attention_2", "flash3": "flash_attention_3"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One variant as it is asked for: what differs from the model and revision that all share.

    `merged` names another model that stands in for model and adapter; `name` sets two that are alike apart.
    """

    dtype: str = AUTO
    attention: str = AUTO
    adapter: str = ""
    merged: str = ""
    threshold: float = THRESHOLD
    name: str = ""

    def of(self, model: str, revision: str | None) -> Variant:
        """The variant of a model that this stands for."""
        return Variant(
            self.merged or model,
            None if self.merged else revision,
            self.dtype,
            self.attention,
            self.threshold,
            self.adapter or None,
        )

    @property
    def text(self) -> str:
        """It as one line, in the usual spelling."""
        threshold = "" if self.threshold == THRESHOLD else f"threshold={self.threshold:g}"
        words = (("adapter", self.adapter), ("merged", self.merged), ("name", self.name))
        parts = [self.dtype, self.attention if self.attention != AUTO else "", threshold]
        return "+".join(filter(None, [*parts, *(f"{word}={value}" for word, value in words if value)]))


def read_variant(text: str) -> Asked:
    """One variant from its line.

    Raises:
        BadInput: a part of it means nothing.
    """
    asked = Asked()
    for part in filter(None, (piece.strip() for piece in text.split("+"))):
        asked = _with(asked, part, text)
    return asked


def expand(names: Sequence[str], adapter: str = "", merged: str = "") -> tuple[str, ...]:
    """The lines that presets and commas stand for.

    Args:
        adapter, merged: what the preset `before-after` sets beside the base.

    Raises:
        BadInput: before-after without either.
    """
    lines = [line.strip() for name in names for line in name.split(",")]
    found: list[str] = []
    for line in filter(None, lines):
        found += _before_after(adapter, merged) if line == BEFORE_AFTER else PRESETS.get(line, (line,))
    return tuple(found)


def names_of(asked: Sequence[Asked]) -> tuple[str, ...]:
    """A name for each: what differs, and the precision where nothing else does.

    Raises:
        BadInput: two are the same and bear no names of their own.
    """
    shown = [field for field in ("dtype", "attention", "threshold") if len({getattr(one, field) for one in asked}) > 1]
    names = tuple(one.name or _name(one, shown) for one in asked)
    twice = next((one for one, name in zip(asked, names, strict=True) if names.count(name) > 1), None)
    if twice:
        raise BadInput(
            f"The variant {twice.name or twice.text} is there twice, or two have the same name.",
            f"Give one another name: {replace(twice, name='').text}+name=again.",
        )
    return names


def _name(one: Asked, shown: Sequence[str]) -> str:
    parts = [one.dtype] if "dtype" in shown or not (set(shown) - {"dtype"}) else []
    parts += [one.attention] if "attention" in shown else []
    parts += [f"threshold {one.threshold:g}"] if "threshold" in shown and one.dtype == Precision.INT8 else []
    if one.adapter or one.merged:
        what = f"adapter {_last(one.adapter)}" if one.adapter else f"merged {_last(one.merged)}"
        parts.append(what)
    return " ".join(parts) or one.dtype


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2][-26:]


def _before_after(adapter: str, merged: str) -> list[str]:
    if not adapter and not merged:
        raise BadInput("before-after compares a base with its adapter or with the merged model: name one of them.")
    return ["auto+name=base", *([f"auto+adapter={adapter}+name=adapter"] if adapter else []),
            *([f"auto+merged={merged}+name=merged"] if merged else [])]  # fmt: skip


def _with(asked: Asked, part: str, text: str) -> Asked:
    word, has_value, value = part.partition("=")
    if has_value:
        return _with_word(asked, word.strip(), value.strip(), text)
    precision, attention = usual_name(part), SHORT_ATTENTION.get(part, part)
    if precision in get_args(Dtype):
        return replace(asked, dtype=precision)
    if attention in list(Attention):
        return replace(asked, attention=attention)
    raise BadInput(
        f"{part!r} in the variant {text!r} is neither a precision nor an attention.",
        f"There are {', '.join(Precision)}; {', '.join(Attention)}; the sets {', '.join([*PRESETS, BEFORE_AFTER])}.",
    )


def _with_word(asked: Asked, word: str, value: str, text: str) -> Asked:
    if word not in WORDS or not value:
        raise BadInput(f"{word!r} in the variant {text!r} means nothing.", f"There are {', '.join(WORDS)}.")
    match word:
        case "adapter":
            return replace(asked, adapter=value[:500])
        case "merged":
            return replace(asked, merged=value[:500])
        case "name":
            return replace(asked, name=value[:60])
    try:
        threshold = float(value)
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= 1000:
        raise BadInput(f"threshold in the variant {text!r} must be a number from 0 to 1,000.")
    return replace(asked, threshold=threshold)
