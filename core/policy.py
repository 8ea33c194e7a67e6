"""What may be asked here, by whom: the doors of the mode, the files of the machine, the caps for strangers.

Who may see or change a job that is there is `core.access`; how many there may be, `core.limits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from core.access import Who, check_may_manage, may_see
from core.catalog import BUILTIN_NAME
from core.catalog.names import is_hub_name, shown
from core.data.uploads import Uploads
from core.errors import BadInput, NotAllowed, NotFound
from core.ids import ID_LENGTH
from core.jobs.kind import AnyKind, Door
from core.limits import Limits
from core.modes import Mode
from core.settings import Settings
from core.spec import Spec
from core.store import Store
from core.values import Visibility

TEXTS = frozenset({
    "prompt", "prompts", "system", "messages", "content", "stop", "eval_own", "name", "reference", "module",
    "prompt_template", "completion_template", "text_template", "chat_template", "label_column", "judge_label",
    "target_modules",
})  # fmt: skip
"""Fields that hold words alone; what else is text may name a model, data or an adapter."""
NAMED_IN = {"variants": ("=", ("adapter", "merged")), "rewards": (":", ("model",))}
"""Fields whose items name something in parts: after which sign, and in which of the parts."""
BUILTIN_ONLY = frozenset({"model", "adapter", "merged"})
AN_ID = re.compile(rf"\b[0-9A-HJKMNP-TV-Z]{{{ID_LENGTH}}}\b", re.IGNORECASE)
BUILTIN_TEXT = re.compile(r"[a-z-]*")
PATH_BEGINNINGS = ("/", ".", "~", "\\")
MOST_NUMBERS = {"eval_tokens": 4096, "repeats": 5, "context_lengths": 1024, "batch_sizes": 4, "window": 1024}
MOST_ITEMS = {"variants": 4, "prompts": 4, "context_lengths": 3, "batch_sizes": 2, "messages": 40}
"""What a stranger's comparison may ask: no more than the usual one, so that the form as it stands is never refused."""
CLOSED = {
    Door.TRAINING: ("Training is closed on this page.", "See a recorded one under Recorded runs."),
    Door.MODELS: ("Bringing models and changing them is closed on this page.", "The built-in model is here."),
}


@dataclass(frozen=True)
class Policy:
    """The rules of one installation for one person."""

    settings: Settings
    store: Store
    who: Who

    def allowed(self, kind: AnyKind, spec: Spec) -> Spec:
        """The Spec of a job that may be asked for here; what a stranger left open is at most what they may have.

        Raises:
            NotAllowed: its kind is closed here, or for administrators alone, or it names a file of the machine.
            NotFound: it names an artifact or a data set that one may not see.
            BadInput: it asks for more than a stranger may.
        """
        self._check_door(kind)
        fields = spec.model_dump(mode="json")
        self.check_names(fields)
        if fields.get("pin"):
            check_may_manage(self.who)
        if self.settings.mode is not Mode.PUBLIC:
            return spec
        self._check_caps(fields)
        open_tokens = "max_new_tokens" in fields and fields["max_new_tokens"] is None
        return spec.model_copy(update={"max_new_tokens": self.settings.most_new_tokens}) if open_tokens else spec

    def check_names(self, fields: Mapping[str, Any]) -> None:
        """Refuse names of what one may not see.

        Raises:
            NotAllowed, NotFound: see `allowed`.
        """
        for field, text in _names(fields):
            for found in AN_ID.findall(text):
                self._check_id(found.upper())
            if not self.settings.paths and not self.who.is_administrator:
                _check_no_path(field, text)
            if self.settings.only_builtin:
                _check_builtin(field, text)

    @property
    def visibility(self) -> Visibility:
        """Who sees what is submitted, unless its owner says otherwise."""
        return Visibility.PRIVATE if self.settings.private else Visibility.TEAM

    @property
    def limits(self) -> Limits:
        """How many unfinished jobs there may be."""
        return Limits(self.settings.most_queued, self.settings.most_of_address, self.settings.most_in_all)

    def _check_door(self, kind: AnyKind) -> None:
        is_open = {
            Door.PROMPTS: True,
            Door.TRAINING: self.settings.training,
            Door.MODELS: self.settings.downloads,
            Door.DATA: self.settings.uploads,
            Door.MACHINE: self.settings.downloads,
        }[kind.door]
        if not is_open:
            raise NotAllowed(*CLOSED.get(kind.door, (f"A {kind.name} is not open on this page.", "")))
        if kind.door is Door.MACHINE and not self.who.is_administrator:
            raise NotAllowed(f"Only an administrator may {kind.name} what all use.")

    def _check_id(self, found: str) -> None:
        if not self._may_use(found):
            raise NotFound(f"There is no artifact or data set {found}.", "`workbench data` lists the data sets.")

    def _may_use(self, found: str) -> bool:
        """Of what is not there a member hears the same as of what is somebody's alone."""
        if upload := Uploads(self.settings.home).look(found):
            return upload.may_be_seen_by(self.who)
        with suppress(NotFound):
            return may_see(self.who, self.store.job(self.store.artifact(found)[0]))
        with suppress(NotFound):
            return may_see(self.who, self.store.job(found))
        return self.who.is_administrator  # who names a folder of this machine, perhaps

    def _check_caps(self, fields: Mapping[str, Any]) -> None:
        n_chars = sum(len(text) for _, text in _strings(fields))
        if n_chars > self.settings.most_prompt_chars:
            raise BadInput(
                f"This is {n_chars:,} characters, and here a job may have {self.settings.most_prompt_chars:,} in all.",
                "Ask for less, or run the workbench on a machine of your own.",
            )
        most = MOST_NUMBERS | {"max_new_tokens": self.settings.most_new_tokens}
        for field, value in fields.items():
            items = value if isinstance(value, list | tuple) else [value]
            if field in MOST_ITEMS and len(items) > MOST_ITEMS[field]:
                raise BadInput(f"{field}: at most {MOST_ITEMS[field]} here, not {len(items)}.")
            for item in items:
                if field in most and isinstance(item, int | float) and item > most[field] > 0:
                    raise BadInput(f"{field}: at most {most[field]:,} here, not {item:,}.")


def _strings(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Every text in the fields, with the name of the field that it stands in."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _strings(inner, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner, field)


def _names(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text that may name something. A variant names its adapter after a `=`; so does a reward its model."""
    for field, text in _strings(fields):
        if field in TEXTS:
            continue
        if field not in NAMED_IN:
            yield field, text
            continue
        sign, parts = NAMED_IN[field]
        for part in re.split(r"[+,]", text):
            name, _, value = part.partition(sign)
            if name.strip() in parts:
                yield name.strip(), value.strip()


def _check_builtin(field: str, text: str) -> None:
    if field in BUILTIN_ONLY and text not in ("", BUILTIN_NAME):
        raise NotAllowed(f"Only the built-in model {BUILTIN_NAME} is open here, not {shown(text)}.")
    if field in ("data", "eval_text", "judge_data") and not BUILTIN_TEXT.fullmatch(text):
        raise NotAllowed(f"{field}: only what is built in is open here, not {shown(text)}.")


def _check_no_path(field: str, text: str) -> None:
    is_path = text.startswith(PATH_BEGINNINGS) or "\\" in text or (text.count("/") == 1 and not is_hub_name(text))
    if is_path or (text.count("/") > 1 and text.split("/")[0] in ("artifacts", "uploads", "run", "scratch", "models")):
        raise NotAllowed(
            f"{field}: {shown(text)} is a path of the worker's machine, which only an administrator may name.",
            "Name a model of the Hub or of the workbench, or upload the file.",
        )
