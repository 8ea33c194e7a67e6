"""What the small files beside the weights say: settings, chat template, licence. Each may be missing or hostile."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.values import Role

MOST_BYTES = 4_000_000
FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)
LICENCE = re.compile(r"^license:[ \t]*[\"']?([\w.+-]{1,60})", re.MULTILINE)
LICENCE_NAME = re.compile(r"^license_name:[ \t]*[\"']?([\w.+-]{1,60})", re.MULTILINE)
# what configurations call the longest sequence, in the order in which they are trusted
LENGTH_FIELDS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length")
CAUSAL = ("ForCausalLM", "LMHeadModel")
CLASSIFIER = "ForSequenceClassification"


def text_of(path: Path) -> str:
    """The beginning of a text file; "" where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""


def object_of(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none."""
    try:
        found = json.loads(text_of(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def licence_of(folder: Path) -> str:
    """The licence that a README names at its top."""
    top = FRONT_MATTER.match(text_of(folder / "README.md")[:20_000])
    if top is None:
        return ""
    found = LICENCE.search(top[1])
    named = LICENCE_NAME.search(top[1]) if found is None or found[1] == "other" else found
    return (named or found or [""])[1] if named or found else ""


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer knows how a conversation is written."""
    if any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    return bool(object_of(folder / "tokenizer_config.json").get("chat_template"))


def context_length_of(config: Mapping[str, Any]) -> int | None:
    """The longest sequence that the model was made for, where its settings say it."""
    text = config.get("text_config")
    for part in (text, config) if isinstance(text, Mapping) else (config,):
        for field in LENGTH_FIELDS:
            length = part.get(field)
            if isinstance(length, int) and not isinstance(length, bool) and 0 < length < 10**9:
                return length
    return None


def architecture_of(config: Mapping[str, Any]) -> str:
    """The name of the model's class, as its settings say it."""
    named = config.get("architectures")
    return str(named[0])[:100] if isinstance(named, list) and named else ""


def role_of(config: Mapping[str, Any], is_described: bool) -> Role:
    """What the model is for. Settings without a class are a causal model's, where the type is known as one."""
    architecture = architecture_of(config)
    if config.get("is_encoder_decoder") is True:
        return Role.OTHER
    if architecture.endswith(CLASSIFIER):
        return Role.CLASSIFIER
    if architecture.endswith(CAUSAL):
        return Role.CAUSAL
    if architecture.endswith("ForConditionalGeneration") and is_described:
        return Role.CAUSAL  # a model that sees too, whose text part can be asked alone
    return Role.CAUSAL if not architecture and is_described else Role.OTHER
