"""What every job's input has in common: immutable, complete, strict, and refused in one sentence."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from core.errors import BadInput


class Spec(BaseModel):
    """The validated input of a job. Subclasses add fields: name, default, bounds and help live there alone.

    A field's `json_schema_extra` may hold `{"advanced": True}` (folded away on the page) and `{"flag": "prompt"}` (the
    name of its flag, where many are given one by one).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def understand(cls, fields: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The fields in today's spelling, and a sentence for each that had another."""
        return dict(fields), ()


AnySpec = TypeVar("AnySpec", bound=Spec)


def parse_spec(kind: type[AnySpec], fields: Mapping[str, Any]) -> AnySpec:
    """The Spec that `fields`, as they come from JSON, describe.

    Raises:
        BadInput: a field is unknown, of a wrong type or out of bounds; the sentence names it and its range.
    """
    try:
        return kind.model_validate_json(json.dumps(kind.understand(fields)[0]))
    except ValidationError as error:
        raise BadInput(" ".join(_sentence(detail) for detail in error.errors())) from error
    except (TypeError, ValueError) as error:
        raise BadInput(f"A spec must be plain JSON: {error}.") from error


def _sentence(detail: ErrorDetails) -> str:
    field = ".".join(str(part) for part in detail["loc"]) or "The spec"
    match detail["type"]:
        case "extra_forbidden":
            return f"There is no field {field}."
        case "missing":
            return f"{field} is missing."
        case "value_error":
            error = detail["ctx"]["error"]
            return f"{error} {getattr(error, 'hint', '')}".strip()
        case _:
            return f"{field}: {detail['msg'][0].lower()}{detail['msg'][1:]}, not {_short(detail['input'])}."


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def as_command(kind: str, spec: Spec) -> str:
    """The command line that submits the same job: a flag for each field that differs from its default."""
    words = ["workbench", "submit", kind]
    for name, value in spec.model_dump(mode="json", exclude_defaults=True).items():
        for each in _flag_values(value):
            words += [flag_of(name, type(spec).model_fields[name]), each]
    return shlex.join([*words, "--wait"])


def flag_of(name: str, field: FieldInfo) -> str:
    """The command-line flag of a Spec field: its name, unless the field names another."""
    extra = field.json_schema_extra
    named = extra.get("flag") if isinstance(extra, dict) else None
    return "--" + str(named or name).replace("_", "-")


def _flag_values(value: Any) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value  # given once for each
    return [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
