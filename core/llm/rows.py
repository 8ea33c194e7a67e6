"""Rows as tokens, with which of them are trained on: exactly what TRL's SFTTrainer makes, before it cuts and packs.

A row becomes what TRL 1.16 calls `input_ids` and `labels` (`SFTTrainer._prepare_dataset`); tests hold the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.data.chat_templates import CHAT_TEMPLATES
from core.data.values import Row
from core.errors import BadInput

IGNORED = -100
HINT = "Use prompt and completion (or text) as texts, or a model with a chat template, such as an Instruct one."
NAME_ONE = f"Name one by chat_template: {', '.join(CHAT_TEMPLATES)}."
ENDLESS = "The model's tokenizer has no end-of-text token, so nothing could end a text."


class RowWarning(StrEnum):
    """What is worth knowing of a row before it is trained on."""

    NO_END = "No end-of-text token is trained, so the model does not learn to stop."
    ALL_MASKED = "Nothing of it is trained: all of its tokens are masked."
    CUT_OFF = "It is longer than max_length: its end is cut off."
    ALL_CUT = "What is trained of it lies behind max_length: it is left out."


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a row, and whether each counts in the loss; both of the same length."""

    input_ids: tuple[int, ...]
    trained: tuple[bool, ...]

    @property
    def labels(self) -> tuple[int, ...]:
        """The tokens that are trained, -100 in place of the others."""
        return tuple(
            token if is_trained else IGNORED for token, is_trained in zip(self.input_ids, self.trained, strict=True)
        )

    def cut(self, max_length: int | None) -> Encoded:
        """Its first `max_length` tokens, as TRL keeps them."""
        return Encoded(self.input_ids[:max_length], self.trained[:max_length])

    def teaches_end(self, end_ids: frozenset[int]) -> bool:
        """Whether a token that ends a text is among those that are trained."""
        return any(token in end_ids for token in self.labels)


def encode_row(row: Row, tokenizer: Any, completion_only: bool | None = None, assistant_only: bool = False) -> Encoded:
    """The tokens of a row of any format: a preference as its prompt with the chosen answer, labelled text as text.

    Args:
        completion_only: whether the prompt of a prompt-completion row is left out of the loss; None, as in TRL: yes.
        assistant_only: whether a conversation is trained on what the assistant says alone.

    Raises:
        BadInput: the tokenizer has no chat template for a conversation, or no end-of-text token, or its template
            refuses the conversation or does not say what the assistant wrote.
    """
    if assistant_only and not row.is_conversational:
        raise BadInput("assistant_only_loss takes conversations, and these rows are texts.", "Set it to false.")
    coder = _Coder(tokenizer, assistant_only)
    if row.is_conversational:
        coder.check_template(f"{NAME_ONE} {HINT}")
    fields = row.fields
    if "prompt" in fields:
        completion = fields["completion"] if "completion" in fields else fields["chosen"]
        return coder.pair(fields["prompt"], completion, completion_only is not False)
    return coder.whole(fields["messages"] if "messages" in fields else coder.ended(fields["text"]))


def encode_answers(row: Row, tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens of a preference as TRL's RewardTrainer makes them: the prompt with each of its answers, ended.

    Where the tokenizer has no end-of-text token, as those of encoders, none is put behind a text.

    Raises:
        BadInput: the tokenizer has no chat template for a conversation, or its template refuses it.
    """
    coder = _Coder(tokenizer, assistant_only=False)
    if row.is_conversational:
        coder.check_template(f"{NAME_ONE} {HINT}")
    prompt = row.fields["prompt"]
    is_whole = row.is_conversational or tokenizer.eos_token is None
    chosen, rejected = (
        coder.whole(prompt + (answer if is_whole else coder.ended(answer))).input_ids
        for answer in (row.fields["chosen"], row.fields["rejected"])
    )
    return chosen, rejected


def set_chat_template(tokenizer: Any, name: str) -> None:
    """Give a tokenizer one of the built-in templates, which it then keeps when it is saved; "": it has its own.

    No token is added: what the template writes is text, ended by the token that the tokenizer has for that.

    Raises:
        BadInput: the tokenizer has no end-of-text token.
    """
    if not name:
        return
    if tokenizer.eos_token is None:
        raise BadInput(ENDLESS)
    tokenizer.chat_template = CHAT_TEMPLATES[name]


def written(messages: list[dict[str, str]], tokenizer: Any, *, asks: bool = True) -> str:
    """A conversation as the model reads it; where it `asks`, up to where the answer begins.

    Raises:
        BadInput: there is no chat template, or it refuses the conversation.
    """
    coder = _Coder(tokenizer, assistant_only=False)
    coder.check_template(f"{NAME_ONE} {HINT}")
    made: str = coder.templated(messages, tokenize=False, return_dict=False, add_generation_prompt=asks)
    return made


@dataclass(frozen=True)
class _Coder:
    tokenizer: Any
    assistant_only: bool

    def check_template(self, hint: str) -> None:
        if not self.tokenizer.chat_template:
            raise BadInput("The model has no chat template, and these rows are conversations.", hint)

    def ended(self, text: str) -> str:
        """A text with the end-of-text token behind it."""
        end = self.tokenizer.eos_token
        if end is None:
            raise BadInput(ENDLESS)
        return text if text.endswith(end) else text + str(end)

    def whole(self, content: Any) -> Encoded:
        ids, trained = self._tokens(content)
        return Encoded(ids, trained)

    def pair(self, prompt: Any, completion: Any, completion_only: bool) -> Encoded:
        if isinstance(prompt, str):
            completion = self.ended(completion)
        ids, trained = self._tokens(prompt + completion)
        n_prompt = _n_shared(self._prompt(prompt), ids) if completion_only else 0
        return Encoded(ids, tuple(is_trained and at >= n_prompt for at, is_trained in enumerate(trained)))

    def _prompt(self, prompt: Any) -> tuple[int, ...]:
        if isinstance(prompt, str):
            return tuple(self.tokenizer(text=prompt)["input_ids"])
        return tuple(self.templated(prompt, add_generation_prompt=True)["input_ids"])

    def _tokens(self, content: Any) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        if isinstance(content, str):
            ids = tuple(self.tokenizer(text=content)["input_ids"])
            return ids, (True,) * len(ids)
        made = self.templated(content, return_assistant_tokens_mask=self.assistant_only)
        ids = tuple(made["input_ids"])
        if not self.assistant_only:
            return ids, (True,) * len(ids)
        mask = tuple(bool(each) for each in made["assistant_masks"])
        if not any(mask):
            raise BadInput(
                "assistant_only_loss finds nothing that the assistant says: the chat template does not mark it.",
                "Set assistant_only_loss to false, or mark it with {% generation %} in the template.",
            )
        return ids, mask

    def templated(self, messages: list[dict[str, str]], **more: Any) -> Any:
        usual: dict[str, Any] = {"tokenize": True, "return_dict": True, "chat_template": self._template()}
        try:
            return self.tokenizer.apply_chat_template(messages, **(usual | more))
        except BadInput:
            raise
        except Exception as error:  # a template is a stranger's program, and may raise anything
            reason = str(error) or type(error).__name__
            raise BadInput(f"The model's chat template refuses this conversation: {reason[:300]}.") from error

    def _template(self) -> str | None:
        """The template with what the assistant says marked, where the model's own does not mark it."""
        if not self.assistant_only:
            return None
        from trl.chat_template_utils import get_training_chat_template, has_generation_markers

        if has_generation_markers(self.tokenizer.chat_template):
            return None
        try:
            return get_training_chat_template(self.tokenizer)
        except ValueError as error:
            raise BadInput(
                "assistant_only_loss needs a chat template that marks what the assistant says, and TRL knows none for "
                "this model.",
                "Set assistant_only_loss to false, or use prompt and completion.",
            ) from error


def _n_shared(ids: tuple[int, ...], others: tuple[int, ...]) -> int:
    """How many tokens two rows begin with in common: templates may render a prompt alone in another way."""
    pairs = enumerate(zip(ids, others, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(ids), len(others)))


def warnings_of(encoded: Encoded, end_ids: frozenset[int], max_length: int | None = None) -> tuple[RowWarning, ...]:
    """What is worth knowing of a row that is cut to `max_length` tokens; each of `end_ids` ends an answer."""
    kept = encoded.cut(max_length)
    if not any(encoded.trained):
        return (RowWarning.ALL_MASKED,)
    found = [RowWarning.CUT_OFF] if len(kept.input_ids) < len(encoded.input_ids) else []
    if not any(kept.trained):
        return (*found, RowWarning.ALL_CUT)
    if not kept.teaches_end(end_ids):
        found.append(RowWarning.NO_END)
    return tuple(found)
