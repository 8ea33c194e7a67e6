"""What the page “Will it fit?” is asked: the fields of its address, each checked, and the estimate that they ask for.

All of them are a stranger's words. A path is read on this very machine, so only somebody who sits at it may name one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from core.errors import BadConfig, BadInput
from core.memory import Estimate, Model, Precision, Training, estimate, parse_precision, read_model
from core.memory.compare import COMPARED
from core.memory.known import config_of, known_model, names, open_here
from core.memory.stored import why_not
from core.memory.training import Method
from core.modes import Mode
from core.settings import Settings

EXAMPLE = "mosaicml/mpt-7b"  # what the page opens with
PASTED, PATH = "pasted", "path"  # in the place of a model's name; the latter until a path is given
MOST_PASTED = 300_000  # characters: a config.json has some thousands
USUAL_RANK = 8
AT_HOME = frozenset({"127.0.0.1", "localhost", "::1"})
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Asked:
    """A question to the page, as its address holds it; a pasted config is the one part that may be too long for one."""

    model: str = EXAMPLE
    context: int = 4096
    batch: int = 1
    precision: Precision = Precision.BFLOAT16
    attention: str = "auto"
    training: Training | None = None
    config: str = ""

    @property
    def title(self) -> str:
        """What the model is called in a sentence."""
        return "The pasted model" if self.model == PASTED else self.model.rstrip("/").rpartition("/")[2][:80]


def read_asked(data: Any) -> Asked:
    """The question in what the browser sent.

    Raises:
        BadInput: a field is not of its kind.
    """
    fields = data if isinstance(data, Mapping) else {}
    words = {name: str(fields.get(name) or "").strip() for name in ("model", "dtype", "attention", "train")}
    training = _training(words["train"], fields)
    usual = "nf4" if training and training.method == "qlora" else "bfloat16"
    return Asked(
        model=words["model"] or EXAMPLE,
        context=_whole("context", fields, Asked.context),
        batch=_whole("batch", fields, Asked.batch),
        precision=_precision(words["dtype"] or usual),
        attention=words["attention"][:40] or "auto",
        training=training,
        config=str(fields.get("config") or ""),
    )


def answer(asked: Asked, settings: Settings) -> Estimate:
    """The estimate that is asked for.

    Raises:
        ModelError: there is no such model, or its files are broken.
        BadInput: what is asked cannot be had of this model.
    """
    model = _model(asked, settings)
    why = why_not(model.packing, asked.precision)
    if why and asked.precision.is_quantized:
        raise BadInput(f"{asked.precision} does not apply: {why}.", "Take bfloat16.")
    return estimate(
        model,
        precision=asked.precision,
        context=asked.context,
        batch=asked.batch,
        attention=asked.attention,
        training=asked.training,
    )


def may_name_paths(settings: Settings) -> bool:
    """Whether those who reach the page sit at this machine."""
    return settings.mode is Mode.LOCAL and settings.host in AT_HOME and not settings.allowed_hosts.strip()


def _model(asked: Asked, settings: Settings) -> Model:
    if asked.model == PASTED:
        return read_model(_parsed(asked.config))
    if asked.model == PATH:
        raise BadInput("Give the path of a folder, a config.json or a GGUF file.")
    if may_name_paths(settings) and asked.model not in names():
        return _from_here(asked.model, settings)
    return known_model(asked.model)


def _from_here(name: str, settings: Settings) -> Model:
    if name.count("/") == 1 and not name.startswith(("/", ".", "~")):
        config_of(name)  # a name of the Hub with a typo is told the nearest one, and is no path
    return open_here(name, settings.home)


def _parsed(text: str) -> dict[str, Any]:
    if not text.strip():
        raise BadConfig("Paste the text of a config.json to see what its model needs.")
    if len(text) > MOST_PASTED:
        raise BadConfig(f"A config.json has at most {MOST_PASTED:,} characters here.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadConfig("What was pasted is no valid JSON.", "Paste all of config.json, from { to }.") from error
    if not isinstance(found, dict):
        raise BadConfig("What was pasted is no object.", "Paste all of config.json, from { to }.")
    return found


def _precision(text: str) -> Precision:
    found = parse_precision(text[:40])
    if found not in COMPARED:
        raise BadInput(f"{found} is not compared here.", f"Take one of {', '.join(COMPARED)}.")
    return found


def _training(word: str, fields: Mapping[str, Any]) -> Training | None:
    method = next((one for one in METHODS if one == word), None)
    if word not in ("", "none") and method is None:
        raise BadInput(f"There is no training {word[:40]!r}. There are: none, {', '.join(METHODS)}.")
    return Training(method, rank=_whole("rank", fields, USUAL_RANK)) if method else None


def _whole(name: str, fields: Mapping[str, Any], usual: int) -> int:
    given = fields.get(name)
    text = "" if given is None else str(given).strip().replace(",", "")[:40]
    try:
        return int(text) if text else usual
    except ValueError:
        raise BadInput(f"{name} must be a whole number, not {text!r}.") from None
