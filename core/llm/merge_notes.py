"""What should be known of a merge beside its figures, in sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from core.catalog import ModelSource
from core.comparison.merged import MergeAsked
from core.llm.merge_room import Place
from core.llm.merging_adapter import Adapter
from core.llm.merging_base import Base
from core.llm.merging_files import own_tokenizer, trained_over
from core.llm.merging_plan import Plan

SENTENCES = """The museum reopened in spring after two years of repairs, and the line of visitors reached the river.
Water boils at a lower temperature on a mountain, because the air above it weighs less than at the sea.
She had expected a quiet evening, but the train was late, the rain was loud, and the letter lay on the table.
A committee of nine members voted to delay the new tax until the end of the year, when the figures would be known.
To bake bread you need flour, water, salt and time; most recipes that fail are short of the last of these.
The film begins slowly and ends too soon, yet nobody in the theatre looked at a watch in between.
In the north the winters are long, so the houses have thick walls, small windows and large stoves.
He wrote the program in a week and spent the following month finding out why it gave two different answers.
"""
FALLBACK_TEXT = (SENTENCES, hashlib.sha256(SENTENCES.encode()).hexdigest())


def notes_of(
    asked: MergeAsked, source: ModelSource, adapter: Adapter, base: Base, plan: Plan, place: Place
) -> tuple[str, ...]:
    """The sentences that apply."""
    return tuple(_notes(asked, source, adapter, base, plan, place))


def _notes(
    asked: MergeAsked, source: ModelSource, adapter: Adapter, base: Base, plan: Plan, place: Place
) -> Iterator[str]:
    if asked.dtype == "auto" and plan.dtype == base.stored_as:
        yield f"The base's files are stored in {plan.dtype}, and so are those of the merged model."
    elif asked.dtype == "auto":
        yield f"The base's files are stored in {base.stored_as}: the merged model is stored in {plan.dtype}."
    if packed := trained_over(adapter):
        yield (
            f"The adapter was trained over weights packed in {packed}; it is merged into the unquantized ones, which "
            "are a little different from those that it learned on."
        )
    if adapter.base and adapter.base not in (source.name, str(source.folder)):
        yield f"The adapter names {adapter.base} as its base; it was merged into {source.name}."
    if plan.is_untied:
        yield "Input and output embeddings were one table, and were not trained as one: the merged model has two."
    if own_tokenizer(adapter.folder):
        yield "The tokenizer is the one that lies beside the adapter."
    if str(place.precision) != "float32":
        yield f"The check computed in {place.precision}, since float32 does not fit here: it sees only larger errors."
