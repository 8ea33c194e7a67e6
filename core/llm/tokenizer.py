"""A model's tokenizer without its weights, which tokens end an answer, and what its tokens look like."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

# by its own module: where two threads import transformers at once, the second may see the package without its names
from transformers.models.auto.tokenization_auto import AutoTokenizer

from core.catalog import ModelSource
from core.data.preview import Piece
from core.llm.detokenize import UNFINISHED
from core.llm.rows import Encoded

MOST_IN_A_PIECE = 8  # tokens of a character are at most four; some texts hold the sign for an unfinished one


def tokenizer_of(source: ModelSource) -> Any:
    """The tokenizer, from files of this machine alone, and without code of theirs.

    Raises:
        ModelBroken: it cannot be had.
    """
    where = {"gguf_file": source.file} if source.file else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.folder, local_files_only=True, trust_remote_code=False, **where
        )
        tokenizer.decode([0])  # some broken tokenizers fail only when they are used
    except Exception as error:
        from core.llm.checks import explained

        raise explained(error, source) from error
    return tokenizer


def end_ids_of(source: ModelSource, tokenizer: Any) -> frozenset[int]:
    """Each of these ends an answer: by the model's own settings, and by its tokenizer where they are silent."""
    for name in ("generation_config.json", "config.json"):
        with suppress(OSError, ValueError, TypeError, AttributeError):
            said = json.loads((source.folder / name).read_text(encoding="utf-8")).get("eos_token_id")
            if said is not None:
                return frozenset([said] if isinstance(said, int) else map(int, said))
    return frozenset() if tokenizer.eos_token_id is None else frozenset([int(tokenizer.eos_token_id)])


def pieces_of(encoded: Encoded, tokenizer: Any) -> tuple[Piece, ...]:
    """The tokens with their texts, which together are what decoding all at once gives."""
    special = frozenset(tokenizer.all_special_ids)
    before: Sequence[int] = ()
    made = []
    for group, is_trained in _groups(encoded, tokenizer, special):
        both, known = _decoded([*before, *group], tokenizer), _decoded(before, tokenizer)
        is_special = group[0] in special
        made.append(Piece(tokens=tuple(group), text=both[len(known) :], is_trained=is_trained, is_special=is_special))
        before = group
    return tuple(made)


def _groups(encoded: Encoded, tokenizer: Any, special: frozenset[int]) -> Iterator[tuple[list[int], bool]]:
    """Tokens together where only together they make a character."""
    group: list[int] = []
    was_trained = False
    for token, is_trained in zip(encoded.input_ids, encoded.trained, strict=True):
        if group and (token in special or is_trained != was_trained):
            yield group, was_trained
            group = []
        group.append(token)
        was_trained = is_trained
        is_whole = token in special or not _decoded(group, tokenizer).endswith(UNFINISHED)
        if is_whole or len(group) == MOST_IN_A_PIECE:
            yield group, was_trained
            group = []
    if group:
        yield group, was_trained


def _decoded(ids: Sequence[int], tokenizer: Any) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
