"""Which format a file's columns stand for, and how a record of it becomes the fields of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.data.fields import label_of, messages_of, parted, rating_of, spoken_of, text_of
from core.data.records import Record
from core.data.spec import DataFields
from core.data.template import Template
from core.data.trouble import Empty, Unusable
from core.data.values import Format
from core.errors import BadInput

# what data sets call a prompt and its completion, and a third column that some rows add to the prompt
PAIRS = (
    ("prompt", "completion", ""),
    ("prompt", "response", ""),
    ("instruction", "output", "input"),
    ("instruction", "response", "context"),
    ("question", "answer", ""),
    ("input", "output", ""),
)
CONVERSATIONS = ("messages", "conversations")
HINT = "Rename columns, name a data_format, or make the text of columns by a template such as {question}."


@dataclass(frozen=True)
class Reading:
    """How records become rows. `take` gives the fields, or raises `Unusable`."""

    format: Format
    why: str
    take: Callable[[Record], dict[str, Any]]


def reading_of(
    fields: DataFields, columns: Sequence[str], sample: Sequence[Record], name: str, usual: Format | None = None
) -> Reading:
    """How the records of a file with these columns are to be read.

    Args:
        sample: some of its records.
        usual: the format, where neither the fields nor the columns need to tell it.

    Raises:
        BadInput: the columns that it takes are not there, or a template names one that is not.
    """
    maker = _Maker(fields, tuple(columns), tuple(sample), name)
    maker.check_templates()
    if fields.data_format:
        return maker.made(Format(fields.data_format), "as data_format says")
    if usual and not maker.templates and not (usual is Format.TEXT and fields.label_column):
        return maker.made(usual, "built in")
    return maker.made(*maker.guess())


@dataclass(frozen=True)
class _Maker:
    fields: DataFields
    columns: tuple[str, ...]
    sample: tuple[Record, ...]
    name: str
    templates: Mapping[str, Template] = field(init=False)

    def __post_init__(self) -> None:
        given = {target: getattr(self.fields, f"{target}_template") for target in ("prompt", "completion", "text")}
        object.__setattr__(self, "templates", {target: Template(text) for target, text in given.items() if text})

    def check_templates(self) -> None:
        for target, template in self.templates.items():
            if missing := [column for column in template.columns if column not in self.columns]:
                raise self._refused(f"{target}_template names the column {missing[0]}, which {self.name} does not have")
        if (label := self.fields.label_column) and label not in self.columns:
            raise self._refused(f"label_column names {label}, which {self.name} does not have")

    def guess(self) -> tuple[Format, str]:
        """The format that the templates and the columns stand for, and what told it."""
        has = set(self.columns)
        if "text" in self.templates:
            return (Format.LABELLED if self._label in has else Format.TEXT), "by text_template"
        if self.templates:
            is_preference = {"chosen", "rejected"} <= has and "completion" not in self.templates
            return (Format.PREFERENCE if is_preference else Format.PROMPT_COMPLETION), "by its templates"
        if self.fields.label_column and self._text:
            return Format.LABELLED, f"by label_column and the column {self._text}"
        if {"chosen", "rejected"} <= has:
            return Format.PREFERENCE, "by the columns chosen and rejected"
        if self._conversation:
            return Format.MESSAGES, f"by the column {self._conversation}"
        if pair := self._pair:
            return Format.PROMPT_COMPLETION, f"by the columns {pair[0]} and {pair[1]}"
        if self._text and self._label in has:
            return Format.LABELLED, f"by the columns {self._text} and {self._label}"
        if self._text:
            return Format.TEXT, f"by the column {self._text}"
        raise self._refused(f"The columns of {self.name} are none that are known")

    def made(self, format: Format, why: str) -> Reading:
        return Reading(format, why, MAKERS[format](self))

    @property
    def _label(self) -> str:
        return self.fields.label_column or "label"

    @property
    def _text(self) -> str:
        """The column `text`, or the only one that holds texts."""
        of_text = [one for one in self.columns if one not in (self._label, "rating") and self._holds_text(one)]
        return "text" if "text" in self.columns else of_text[0] if len(of_text) == 1 else ""

    @property
    def _conversation(self) -> str:
        return next((one for one in CONVERSATIONS if one in self.columns), "")

    @property
    def _pair(self) -> tuple[str, str, str] | None:
        return next((one for one in PAIRS if {one[0], one[1]} <= set(self.columns)), None)

    def _holds_text(self, column: str) -> bool:
        values = (record.get(column) for record in self.sample)
        return any(isinstance(value, str) and not _is_number(value) for value in values)

    def _refused(self, what: str) -> BadInput:
        shown = ", ".join(self.columns[:12]) + (f" and {len(self.columns) - 12} more" if len(self.columns) > 12 else "")
        return BadInput(f"{what}; its columns are {shown or 'none'}.", HINT)

    def _lacks(self, format: Format, wanted: str) -> BadInput:
        return self._refused(f"{self.name} cannot be read as {format}, which takes {wanted}")

    def _templated(self, target: str) -> Callable[[Record], str]:
        template = self.templates[target]

        def fill(record: Record) -> str:
            made = template.fill(record)
            if not made.strip():
                raise Empty(f"has an empty {target}")
            return made

        return fill

    def text(self, format: Format) -> Callable[[Record], str]:
        if "text" in self.templates:
            return self._templated("text")
        column = self._text
        if not column:
            raise self._lacks(format, "a column text, or a text_template")
        return lambda record: text_of(record, column)

    def spoken(self, target: str, column: str, format: Format, more: str = "") -> Callable[[Record], Any]:
        """What gives a prompt, a completion or an answer; `more` is a column that some rows add to it."""
        if target in self.templates:
            return self._templated(target)
        if column not in self.columns:
            raise self._lacks(format, f"a column {target}" + (f", or a {target}_template" if target in SIDES else ""))
        if not more or more not in self.columns:
            return lambda record: spoken_of(record, column)

        def both(record: Record) -> str:
            added = record.get(more)
            return text_of(record, column) + (f"\n\n{added}" if isinstance(added, str) and added.strip() else "")

        return both


def _is_number(text: str) -> bool:
    """Whether a text is what a number becomes in a CSV file."""
    try:
        float(text or 0)
    except ValueError:
        return False
    return True


SIDES = ("prompt", "completion")


def _text(maker: _Maker) -> Callable[[Record], dict[str, Any]]:
    text = maker.text(Format.TEXT)
    return lambda record: {"text": text(record)}


def _labelled(maker: _Maker) -> Callable[[Record], dict[str, Any]]:
    text, label = maker.text(Format.LABELLED), maker._label
    if label not in maker.columns:
        raise maker._lacks(Format.LABELLED, f"a column {label}, or another that label_column names")
    return lambda record: {"text": text(record), "label": label_of(record, label), **rating_of(record)}


def _messages(maker: _Maker) -> Callable[[Record], dict[str, Any]]:
    column = maker._conversation
    if not column:
        raise maker._lacks(Format.MESSAGES, "a column messages")
    return lambda record: {"messages": messages_of(record, column)}


def _prompt_completion(maker: _Maker) -> Callable[[Record], dict[str, Any]]:
    pair = maker._pair or next((one for one in PAIRS if set(one[:2]) & set(maker.columns)), PAIRS[0])
    prompt = maker.spoken("prompt", pair[0], Format.PROMPT_COMPLETION, pair[2])
    completion = maker.spoken("completion", pair[1], Format.PROMPT_COMPLETION)
    return lambda record: _alike({"prompt": prompt(record), "completion": completion(record)})


def _preference(maker: _Maker) -> Callable[[Record], dict[str, Any]]:
    chosen, rejected = (maker.spoken(side, side, Format.PREFERENCE) for side in ("chosen", "rejected"))
    has_prompt = "prompt" in maker.templates or "prompt" in maker.columns
    prompt = maker.spoken("prompt", "prompt", Format.PREFERENCE) if has_prompt else None

    def take(record: Record) -> dict[str, Any]:
        better, worse = chosen(record), rejected(record)
        if better == worse:
            raise Unusable("has the same text as chosen and rejected")
        asked, better, worse = (prompt(record), better, worse) if prompt else parted(better, worse)
        return _alike({"prompt": asked, "chosen": better, "rejected": worse})

    return take


def _alike(fields: dict[str, Any]) -> dict[str, Any]:
    if len({isinstance(value, list) for value in fields.values()}) > 1:
        kinds = ", ".join(f"{name} {'messages' if isinstance(one, list) else 'text'}" for name, one in fields.items())
        raise Unusable(f"mixes texts and messages: {kinds}")
    return fields


MAKERS: Mapping[Format, Callable[[_Maker], Callable[[Record], dict[str, Any]]]] = {
    Format.TEXT: _text,
    Format.LABELLED: _labelled,
    Format.MESSAGES: _messages,
    Format.PROMPT_COMPLETION: _prompt_completion,
    Format.PREFERENCE: _preference,
}
