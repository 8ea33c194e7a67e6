"""What a comparison will take, said while one chooses: memory of each variant, tokens to score, bytes on disk."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from core.abilities import why_nowhere
from core.catalog import BUILTIN_NAME
from core.client import Workbench
from core.comparison.builtin_texts import BUILTIN_TEXTS
from core.diff import comparison_of
from core.errors import WorkbenchError
from core.jobs.compare import CompareSpec
from core.memory import Model
from core.memory.estimate import estimate_work
from core.memory.fit import judge
from core.memory.known import known_model, names
from core.memory.stored import why_not
from core.memory.work import Work, best_attention
from core.states import State
from core.store.queries import JobFilter
from core.variant import AUTO, Variant
from web.choices import Why
from web.fit_view import CHIPS
from web.format import written
from web.needs_here import Room, model_here, precision_of, room
from web.offers import render_needs
from web.templates import fragment
from web.words import Chip

OWN_CHARACTERS = 4  # of a token, on average, in English
LOG_PROBABILITY_BYTES = 2
BUILTIN_TOKENS = {"editorials": 129_178, "reviews": 281_501}  # of the built-in model's tokenizer


@dataclass(frozen=True)
class Need:
    """One variant: what it is predicted to take, or why it cannot run or nobody can tell."""

    name: str
    said: str
    chip: Chip | None
    why: str = ""


def cannot_run(client: Workbench) -> Why:
    """By precision or attention, why no worker that compares can run it."""
    return why_nowhere(client.abilities("batch") or client.abilities())


def render_ready(client: Workbench, spec: CompareSpec, n_own: int) -> str:
    """The card beside the form; `n_own` characters of a text of one's own stand for it."""
    where = room(client.workers())
    info = next((one.info for one in client.models() if one.info.name == spec.model and not one.info.problem), None)
    model = model_here(client, info) if info else known_model(spec.model) if spec.model in names() else None
    why = cannot_run(client)
    return fragment(
        "compare_ready",
        needs=[_need(name, one, spec, model, where, why) for name, one in zip(spec.names, spec.loads, strict=True)],
        where=where,
        free=written(where.free_bytes, "bytes") if where else "",
        away=Markup("" if info else render_needs(client, spec.model, AUTO)),  # noqa: S704 - a fragment of our own
        scoring=f"{_scoring(spec, model, n_own)} {_pace(client, spec, n_own)}".strip(),
        sizes=_sizes(spec),
    )


def _need(name: str, one: Variant, spec: CompareSpec, model: Model | None, where: Room | None, why: Why) -> Need:
    reason = why.get(one.dtype) or why.get(one.attn_implementation) or ""
    if reason:
        return Need(name, "", None, f"cannot run here: {reason}")
    precision = precision_of(one.dtype, where) if where else None
    if model is None or where is None or precision is None or one.model != spec.model:
        return Need(name, "not known before it is loaded", None)
    if precision.is_quantized and (packed := why_not(model.packing, precision)):
        return Need(name, "", None, packed)
    attention = best_attention(model) if one.attn_implementation == AUTO else one.attn_implementation
    if attention not in model.attentions:
        return Need(name, "", None, f"{model.table.model_type} has no {attention} attention")
    works = (
        Work(precision, max(spec.context_lengths), 1, attention, on_host=where.is_host),
        Work(precision, min(spec.context_lengths) + spec.max_new_tokens, max(spec.batch_sizes), attention,
             on_host=where.is_host),
    )  # fmt: skip
    try:
        needed = max(estimate_work(model, work).needed_bytes for work in works)
    except WorkbenchError as error:
        return Need(name, "", None, error.message)
    return Need(name, written(needed, "bytes"), CHIPS[judge(needed, where.free_bytes).verdict])


def _scoring(spec: CompareSpec, model: Model | None, n_own: int) -> str:
    """How much of the text is scored, and what the reference leaves on disk for it."""
    tokens, is_all = _tokens(spec, n_own)
    if tokens is None:
        return f"The whole of {spec.eval_text} is scored; how many tokens that are is known once it is read."
    n_windows = tokens // spec.window
    if not n_windows:
        return f"About {tokens:,} tokens are less than one window of {spec.window:,}: quality cannot be measured."
    scored = n_windows * (spec.window - 1)
    about = "about " if is_all else ""
    windows = f"{n_windows:,} window{'' if n_windows == 1 else 's'} of {spec.window:,}"
    vocabulary = model.widths.vocab if model and model.widths else 0
    kept = written(scored * vocabulary * LOG_PROBABILITY_BYTES, "bytes")
    disk = f"; the reference's log-probabilities take {about}{kept} of disk until the end" if vocabulary else ""
    return f"{about.capitalize()}{scored:,} tokens are scored by every variant, in {windows}{disk}."


def _tokens(spec: CompareSpec, n_own: int) -> tuple[int | None, bool]:
    """How many are taken of the text, None where nobody knows, and whether that is all of it."""
    whole = n_own // OWN_CHARACTERS if n_own else _tokens_of(spec)
    is_all = not spec.eval_tokens or bool(whole and whole <= spec.eval_tokens)
    return (whole if is_all else spec.eval_tokens), is_all


def _pace(client: Workbench, spec: CompareSpec, n_own: int) -> str:
    """How long scoring will take, by what it took in the last comparison of this model; "" where there is none."""
    tokens, _ = _tokens(spec, n_own)
    for job in client.list(JobFilter(kind="compare", model=spec.model, state=State.SUCCEEDED), limit=3):
        found = comparison_of(job)
        if not tokens or found is None or found.evaluation is None:
            continue
        took = {one.name: one.quality_s for one in found.variants if one.quality_s}
        if took:
            usual = max(took.values())
            seconds = sum(took.get(name, usual) for name in spec.names) * tokens / found.evaluation.n_scored
            return f"At the pace of this model's last comparison that takes about {written(seconds, 's')}."
    return "How long that takes is known once this model was compared." if not spec.eval_tokens else ""


def _tokens_of(spec: CompareSpec) -> int | None:
    is_known = spec.eval_text in BUILTIN_TEXTS and spec.model == BUILTIN_NAME
    return BUILTIN_TOKENS.get(spec.eval_text) if is_known else None


def _sizes(spec: CompareSpec) -> str:
    n_prompts, n_variants = len(spec.prompts), len(spec.names)
    lengths = ", ".join(f"{each:,}" for each in spec.context_lengths)
    batches = ", ".join(str(each) for each in spec.batch_sizes)
    return (
        f"{n_variants:,} variant{'' if n_variants == 1 else 's'}, {n_prompts:,} prompt{'' if n_prompts == 1 else 's'}, "
        f"prompt lengths {lengths}, batch{'' if len(spec.batch_sizes) == 1 else 'es'} {batches}, "
        f"{spec.repeats:,} repeat{'' if spec.repeats == 1 else 's'} each."
    )
