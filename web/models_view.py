"""The Models page as fragments: the memory of each card with what lies in it, and what each place has on its disk."""

from __future__ import annotations

from collections import Counter

from core.catalog import BUILTIN_NAME
from core.values import ModelInfo, Origin, Role
from web.headlines import short
from web.models_look import Shelves, holding_ref, model_ref
from web.templates import fragment

TONES = 6
ORIGINS = {
    Origin.BUILTIN: "built in",
    Origin.HUB: "from the Hub",
    Origin.FOLDER: "a folder of the home",
    Origin.GGUF: "a GGUF file",
    Origin.ARTIFACT: "made by a job",
}
KEPT = (Origin.BUILTIN, Origin.ARTIFACT)  # the first comes back by itself, the second goes with its job


def render_memory(seen: Shelves, *, may_manage: bool) -> str:
    """A bar and a table for each card; without what only an administrator may do where that is nobody who looks."""
    return fragment(
        "models_memory",
        memories=seen.memories,
        ref=holding_ref,
        short=short,
        n_tones=TONES,
        may_manage=may_manage,
    )


def render_places(seen: Shelves) -> str:
    """A table for each place."""
    return fragment(
        "models_places",
        places=[(place_name(place, seen), models) for place, models in seen.places],
        has_worker=bool(seen.memories),
        seen=seen,
        ref=model_ref,
        about=about,
        can=Can,
        organisation=organisation,
        short=short,
    )


class Can:
    """What may be done with a model."""

    @staticmethod
    def load(info: ModelInfo) -> bool:
        """Whether it can be brought into memory: a causal model, or an adapter that names its base."""
        is_usable = info.role is Role.CAUSAL or (info.role is Role.ADAPTER and info.base)
        return bool(is_usable and not info.problem)

    @staticmethod
    def convert(info: ModelInfo) -> bool:
        """Whether a `convert` job mends it."""
        return info.way_out == "convert"

    @staticmethod
    def remove(info: ModelInfo) -> bool:
        """Whether its files may be deleted."""
        return info.origin not in KEPT and info.name != BUILTIN_NAME


def about(info: ModelInfo) -> list[str]:
    """The facts that are words, in the order in which they are asked for."""
    revision = info.revision or ""
    facts = [
        info.architecture or info.model_type,
        info.licence or "licence unknown",
        "chat template" if info.has_chat_template else "no chat template",
        ORIGINS[info.origin],
        f"@ {revision if len(revision) <= 32 else revision[:12]}" if revision else "",
    ]
    is_plain = info.role is not Role.ADAPTER
    return [fact for fact in facts if fact and (is_plain or fact != "no chat template")]


def organisation(name: str) -> str:
    """What stands before a model's own name."""
    return name[: len(name) - len(short(name))]


def place_name(place: str, seen: Shelves) -> str:
    """A place for people: the host, with its folder only where one host has several."""
    hosts = Counter(one.partition(":")[0] for one, _ in seen.places)
    host, _, folder = place.partition(":")
    return f"{host}, {folder}" if hosts[host] > 1 else host
