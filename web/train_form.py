"""The form of a training: a few fields at once, all others folded away by what they are about.

Which fields there are is the Spec's business: one that no group names stands in the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gradio as gr

from core.client import Workbench
from core.data.builtin import BUILTIN_DATA
from core.jobs.sft import SftSpec
from web import forms, offers
from web.forms import Control
from web.offers import Offer

BASICS = (
    "model", "data", "method", "dtype", "r", "learning_rate", "num_train_epochs", "max_steps",
    "per_device_train_batch_size", "max_length", "packing",
)  # fmt: skip
ADVANCED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Rows and columns",
        (
            "data_format", "max_rows", "eval_share", "prompt_template", "completion_template", "text_template",
            "label_column", "completion_only_loss", "assistant_only_loss", "data_config", "data_split",
            "data_revision", "min_chars", "max_chars", "split_seed",
        ),
    ),
    ("Adapter", ("lora_alpha", "lora_dropout", "target_modules", "use_dora", "use_rslora", "adapter")),
    (
        "Optimizer",
        (
            "gradient_accumulation_steps", "lr_scheduler_type", "warmup_ratio", "optim", "weight_decay",
            "max_grad_norm", "seed",
        ),
    ),
    (
        "Evaluation, answers and checkpoints",
        (
            "prompts", "max_new_tokens", "eval_steps", "early_stopping_patience", "logging_steps", "save_steps",
            "save_total_limit", "resume_from",
        ),
    ),
    ("Machine", ("mixed_precision", "gradient_checkpointing", "attn_implementation", "revision")),
)  # fmt: skip


def controls(below: Mapping[str, Callable[[], object]]) -> list[Control]:
    """The controls; call it inside a Blocks context. `below` makes what stands below a field."""
    first: dict[str, Sequence[Offer]] = {"model": [offers.BUILTIN], "data": built_in(), "adapter": []}

    def made(names: Iterable[str]) -> list[Control]:
        return [_made(name, first, below) for name in names]

    found = made(BASICS)
    for title, names in groups():
        with gr.Accordion(f"Advanced: {title[0].lower()}{title[1:]}", open=False, elem_classes="wb-fold"):
            found += made(names)
    return found


def groups() -> list[tuple[str, tuple[str, ...]]]:
    """What is folded away, by what it is about; every field of the Spec is in one group or a basic one."""
    named = {*BASICS, *(name for _, names in ADVANCED for name in names)}
    rest = tuple(name for name in SftSpec.model_fields if name not in named)
    title, last = ADVANCED[-1]
    return [*ADVANCED[:-1], (title, (*last, *rest))]


def built_in() -> list[Offer]:
    """The data that is there without a file."""
    return [(f"{name} · {one.help}", name) for name, one in BUILTIN_DATA.items()]


def data_offers(client: Workbench) -> list[Offer]:
    """What may be chosen as data: uploads, the newest first, and what is built in."""
    return [*((f"{one.name} · uploaded", one.id) for one in client.uploads()), *built_in()]


def filled(form: Iterable[Control], client: Workbench, spec: Mapping[str, Any], why: Mapping[str, str]) -> list[Any]:
    """What each component shows for a spec; fields that it lacks keep what they have."""
    known = {
        "model": offers.models(client),
        "data": data_offers(client),
        "adapter": offers.adapters(client, str(spec.get("model") or SftSpec.model_fields["model"].default)),
    }
    return forms.offered(list(form), known, why, spec)


def _made(name: str, first: Mapping[str, Sequence[Offer]], below: Mapping[str, Callable[[], object]]) -> Control:
    found = forms.control(name, SftSpec.model_fields[name], first.get(name), has_slider=False)
    if name in below:
        below[name]()
    return found
