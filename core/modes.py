"""The three ways to run a workbench, each a named set of settings, and what is unsafe in each.

A setting that is given takes precedence over its mode's. What would open a door that the mode keeps shut is refused at
start; `workbench doctor` says which doors are open.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from core.errors import SetupError

if TYPE_CHECKING:
    from core.settings import Settings

SHORTEST_SECRET = 32


class Mode(StrEnum):
    """Whom a workbench serves."""

    LOCAL = "local"
    """Whoever uses this machine: one owner, no sign-in, bound to this machine alone."""
    TEAM = "team"
    """People with names and passwords, who share cards and see each other's jobs."""
    PUBLIC = "public"
    """Strangers, each of whom sees only what is theirs, for a day."""


MODES: Mapping[Mode, Mapping[str, Any]] = {
    Mode.LOCAL: {},
    Mode.TEAM: {"paths": False, "most_queued": 1000},
    Mode.PUBLIC: {
        "frames": "https://huggingface.co https://*.hf.space",
        "paths": False,
        "private": True,
        "uploads": False,
        "downloads": False,
        "training": False,
        "only_builtin": True,
        "most_queued": 3,
        "most_running": 1,
        "most_of_address": 9,
        "most_in_all": 200,
        "most_prompt_chars": 4000,
        "most_new_tokens": 256,
        "keep_h": 24,
    },
}


@dataclass(frozen=True)
class Unsafe:
    """A setting that the mode does not allow: why, and what mends it."""

    reason: str
    mend: str


def unsafe(settings: Settings) -> Iterator[Unsafe]:
    """What is unsafe in the mode that the settings name."""
    yield from _UNSAFE[settings.mode](settings)


def check_safe(settings: Settings) -> None:
    """Refuse to start with what is unsafe.

    Raises:
        SetupError: the first thing that is, with what mends it.
    """
    for found in unsafe(settings):
        raise SetupError(found.reason, found.mend)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _in_local(settings: Settings) -> Iterator[Unsafe]:
    if not is_loopback(settings.host):
        yield Unsafe(
            f"In local mode whoever reaches the page is its owner, and {settings.host or 'every address'} "
            "is reached by others than this machine.",
            "Leave WORKBENCH_HOST at 127.0.0.1, or set WORKBENCH_MODE=team, where people sign in.",
        )


def _in_team(settings: Settings) -> Iterator[Unsafe]:
    yield from _secret(settings)


def _in_public(settings: Settings) -> Iterator[Unsafe]:
    yield from _secret(settings)
    for name, what in (
        ("uploads", "strangers could fill the disk"),
        ("downloads", "strangers could have this machine fetch what they name"),
        ("training", "strangers could hold the card for hours"),
        ("paths", "strangers could have any file of this machine read"),
    ):
        if getattr(settings, name):
            yield Unsafe(
                f"In public mode WORKBENCH_{name.upper()} stays off: {what}.",
                f"Take WORKBENCH_{name.upper()} away, or set WORKBENCH_MODE=team.",
            )
    if not settings.only_builtin:
        yield Unsafe(
            "In public mode only the built-in model is open: a stranger could load whatever lies in the home.",
            "Take WORKBENCH_ONLY_BUILTIN away.",
        )
    for name in ("most_queued", "most_running", "most_of_address", "most_in_all", "most_prompt_chars"):
        if not getattr(settings, name):
            yield Unsafe(
                f"In public mode WORKBENCH_{name.upper()} cannot be 0, which is no limit at all.",
                "Take it away for the usual one.",
            )


def _secret(settings: Settings) -> Iterator[Unsafe]:
    if len(settings.secret) < SHORTEST_SECRET:
        yield Unsafe(
            f"In {settings.mode} mode cookies are signed: WORKBENCH_SECRET must hold at least {SHORTEST_SECRET} "
            "characters that nobody can guess.",
            "`workbench secrets` writes an .env with one.",
        )


_UNSAFE = {Mode.LOCAL: _in_local, Mode.TEAM: _in_team, Mode.PUBLIC: _in_public}
