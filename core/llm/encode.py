"""Turns prompts into the tokens that a model expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.errors import BadInput, ModelBroken
from core.llm.loading import LoadedModel
from core.values import Message


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
    except Exception as error:  # a template is a stranger's program, and may raise anything
        reason = str(error) or type(error).__name__
        raise BadInput(f"The chat template of {loaded.source.name} refuses this conversation: {reason}.") from error
    return [int(each) for each in ids]


def encode_text(loaded: LoadedModel, prompt: str) -> list[int]:
    """The tokens of a text to continue, with the beginning that the model expects, if any."""
    return [int(each) for each in loaded.tokenizer(prompt)["input_ids"]]


def encode_question(loaded: LoadedModel, question: str) -> list[int]:
    """The tokens of a question to any model: as a chat turn where it has a template, else as a text to continue."""
    if loaded.tokenizer.chat_template:
        return encode_chat(loaded, [Message(role="user", content=question)])
    return encode_text(loaded, question)


def check_tokens(loaded: LoadedModel, ids: Sequence[int]) -> None:
    """Refuse tokens that the model has no row for: on a card they would not raise but ruin the whole process.

    Raises:
        ModelBroken: the tokenizer makes tokens that the model does not know.
    """
    embeddings: Any = loaded.model.get_input_embeddings()
    if max(ids) >= int(embeddings.weight.shape[0]):
        raise ModelBroken(f"The tokenizer of {loaded.source.name} makes tokens that the model does not know.")
