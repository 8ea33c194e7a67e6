"""What “Will it fit?” says in sentences: computed from the figures, never written for one model."""

from __future__ import annotations

from core.memory import Precision, Verdict
from core.memory.compare import OnCard
from web.fit_answer import Answer, goes
from web.format import written

SAID = {Verdict.FITS: "fits", Verdict.TIGHT: "tight on", Verdict.EXCEEDS: "too much for"}


def headline(found: Answer) -> str:
    """The answer in words."""
    reference, precision = found.reference, found.wanted.work.precision
    if reference is None:
        return f"{_needs(found)}: too much for every card here{_hopeless(found)}."
    verdict = SAID[reference.fits[precision].verdict]
    card = f"the {reference.card.name} ({in_words(reference.card.usable_bytes)} usable)"
    return f"{_needs(found)}: {verdict} {card}.{_narrower(found, reference)}{_reach(found, reference)}"


def _needs(found: Answer) -> str:
    work, needed = found.wanted.work, in_words(found.wanted.needed_bytes)
    rows = f" × {work.batch:,} rows" if work.batch > 1 else ""
    doing = f" for {work.training.method} training" if work.training else ""
    return f"{found.title} needs {needed} in {work.precision}{doing} at {work.context:,} tokens{rows}"


def _hopeless(found: Answer) -> str:
    return ", in any precision" if found.narrower else f", and bitsandbytes {_unshrunk(found)}"


def _unshrunk(found: Answer) -> str:
    return "cannot pack it again" if found.wanted.model.packing else "would not shrink it"


def _narrower(found: Answer, reference: OnCard) -> str:
    left = [(one, reference.fits[one]) for one in found.narrower if goes(reference.fits[one])]
    if not left:
        is_asked_dense = not found.wanted.work.precision.is_quantized and not found.wanted.work.training
        return "" if found.narrower or not is_asked_dense else f" bitsandbytes {_unshrunk(found)}."
    (first, fit), *others = left
    said = f" {first} leaves {in_words(fit.spare_bytes)} free"
    return said + "".join(f" and {one} {in_words(fit.spare_bytes)}" for one, fit in others) + "."


def _reach(found: Answer, reference: OnCard) -> str:
    work = found.wanted.work
    if goes(reference.fits[work.precision]) or not reference.largest_context:
        return ""
    return f" In {work.precision}, up to {reference.largest_context:,} tokens fit there."


def notes(found: Answer) -> list[str]:
    """What a person should know, of the asked precision and of what packing would do to this model."""
    said = list(found.wanted.notes)
    if why := found.why_not(Precision.NF4):
        said.append(f"int8 and the 4-bit precisions do not apply: {why}.")
    packed = next((one for one in (Precision.NF4, Precision.INT8) if one in found.in_each), None)
    if packed and not found.wanted.work.precision.is_quantized:
        others = [note for note in found.in_each[packed].notes if note not in said]
        said += [note if note.startswith(packed) else f"In {packed}: {note}" for note in others]
    return said


def in_words(n_bytes: int) -> str:
    """Bytes as a person reads them."""
    return written(n_bytes, "bytes")
