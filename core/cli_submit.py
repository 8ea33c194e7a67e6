"""`workbench submit KIND`: one flag for each field of the kind's Spec. Bounds and types are the Spec's to refuse."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import click

from core.cli_common import client, json_flag, read_changes, set_flag, wait_flag
from core.errors import BadInput

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from core.jobs import Kinds
    from core.jobs.kind import AnyKind

PREFIX = "field_"  # no field of a Spec can take the name of a flag of ours


class Submit(click.Group):
    """The kinds of job as commands, made when they are asked for."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """The names of the kinds."""
        return sorted(kind.name for kind in _kinds())

    def get_command(self, _context: click.Context, name: str) -> click.Command:
        """The command that submits a kind."""
        return _command(_kinds()[name])


@click.command(cls=Submit)
def submit() -> None:
    """Queue a job of a KIND; `workbench submit KIND --help` lists its flags."""


class AsJson(click.ParamType[Any]):
    """A value that is read as JSON where it is such, and else left for the Spec to refuse in its own words."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> Any:
        """The JSON value, or the text itself."""
        try:
            return json.loads(value)
        except (TypeError, ValueError):
            return value


def _kinds() -> Kinds:
    from core.jobs import Kinds
    from core.settings import read_settings

    return Kinds(read_settings().extra_kinds)


def _command(kind: AnyKind) -> click.Command:
    command = click.Command(
        kind.name,
        callback=partial(_submit, kind),
        params=[_option(name, field) for name, field in kind.spec.model_fields.items()],
        help=f"{kind.help}. {kind.spec.__doc__ or ''}",
        short_help=kind.help,
    )
    for decorate in (
        json_flag,
        wait_flag,
        *_filled_in(kind),
        click.option("--priority", default=0, help="From -100 to 100; the highest is taken first"),
        click.option("--key", help="A job with the same key is not queued a second time"),
        click.option("--name", default="", help="What the job is called"),
        click.option("--private", "is_private", is_flag=True, help="Only you and administrators see it"),
        click.option("--parent", metavar="ID", help="The job that this one follows in a conversation"),
        click.option(
            "--spec",
            "file",
            type=click.File(),
            help="A JSON file with the whole spec; a flag beside it wins",
        ),
    ):
        decorate(command)
    return command


def _submit(
    kind: AnyKind,
    file: IO[str] | None,
    parent: str | None,
    name: str,
    key: str | None,
    priority: int,
    is_private: bool,
    wait: bool,
    as_json: bool,
    preset: str | None = None,
    changes: tuple[str, ...] = (),
    **flags: Any,
) -> int:
    begun_with = next((one for one in kind.presets if one.name == preset), None)
    fields = dict(begun_with.fields if begun_with else {}) | (_read(file) if file else {})
    fields |= {flag.removeprefix(PREFIX): value for flag, value in flags.items() if value not in (None, ())}
    if changes:
        from core.pipeline.steps import with_changes

        fields["steps"] = with_changes(fields.get("steps") or (), read_changes(changes))
    for note in kind.spec.understand(fields)[1]:
        click.echo(note, err=True)
    with client() as workbench:
        from core.cli_wait import hand_over
        from core.values import Visibility

        name = name or (begun_with.title if begun_with else "")
        seen_by = Visibility.PRIVATE if is_private else None
        job = workbench.submit(
            kind.name, fields, name=name, key=key, priority=priority, parent=parent, visibility=seen_by
        )
        return hand_over(workbench, job, wait, as_json)


def _filled_in(kind: AnyKind) -> Iterator[Callable[[Any], Any]]:
    """The flags of kinds that offer jobs to begin with, and of jobs that are made of others."""
    if kind.presets:
        offered = "; ".join(f"{one.name}: {one.help.rstrip('.')}" for one in kind.presets)
        names = click.Choice([one.name for one in kind.presets])
        yield click.option("--preset", type=names, help=f"Begin with these fields. {offered}")
    if "steps" in kind.spec.model_fields:
        yield set_flag


def _read(file: IO[str]) -> dict[str, Any]:
    try:
        fields = json.load(file)
    except ValueError as error:
        raise BadInput(f"{file.name} is not JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise BadInput(f"{file.name} must hold one JSON object: the fields of the spec.")
    return fields


def _option(name: str, field: FieldInfo) -> click.Option:
    from core.spec import flag_of

    flag, annotation = flag_of(name, field), _without_none(field.annotation)
    help_text = "; ".join([field.description or name, *_bounds(field), *_default(field)])
    if annotation is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}", PREFIX + name], default=None, help=help_text)
    is_many_strings = get_origin(annotation) is tuple and _plain(get_args(annotation)[0]) is str
    return click.Option(
        [flag, PREFIX + name],
        type=click.STRING if is_many_strings or _is_text(annotation) else AsJson(_metavar(annotation)),
        metavar=_metavar(annotation),
        multiple=is_many_strings,
        help=help_text + ("; may be given more than once" if is_many_strings else ""),
    )


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_text(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(value, str) for value in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, str)


def _metavar(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return f"[{'|'.join(map(str, get_args(annotation)))}]"
    if get_origin(annotation) is tuple and _plain(get_args(annotation)[0]) is str:
        return "TEXT"
    return {int: "INTEGER", float: "NUMBER", str: "TEXT"}.get(annotation, "JSON")


def _bounds(field: FieldInfo) -> Iterator[str]:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = [f"{words[name]} {getattr(rule, name)}" for rule in field.metadata for name in words if hasattr(rule, name)]
    if found:
        yield ", ".join(found)


def _default(field: FieldInfo) -> Iterator[str]:
    if field.is_required():
        yield "required"
    elif field.default not in (None, "", ()):
        yield f"{field.default} unless told"
