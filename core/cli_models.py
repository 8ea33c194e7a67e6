"""`workbench models`, `unload`, `pin` and `unpin`: what each worker has, what is in memory, and what stays there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import click

from core.cli_common import client

if TYPE_CHECKING:
    from core.store.holdings import Holding
    from core.store.models import FoundModel
    from core.values import ModelInfo

HEAD = ("MODEL", "ROLE", "ON DISK", "PARAMETERS", "STORED AS", "CONTEXT", "LICENCE")
HEAD_IN_MEMORY = ("IN MEMORY", "PRECISION", "SIZE", "JOBS", "WORKER")
NUMBERS = {"ON DISK", "PARAMETERS", "CONTEXT", "SIZE", "JOBS"}  # these stand to the right

json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else")
model_argument = click.argument("model", metavar="MODEL")


@click.command()
@json_flag
def models(as_json: bool) -> None:
    """List the models that each worker has, and those that are in memory."""
    with client() as workbench:
        found, held = workbench.models(), workbench.holdings()
        if as_json:
            there = [{"place": one.place, **one.info.model_dump(mode="json")} for one in found]
            click.echo(json.dumps({"models": there, "in_memory": [asdict(one) for one in held]}, ensure_ascii=False))
            return
        click.echo("\n".join(_page(found, held)))


@click.command()
@model_argument
@json_flag
def unload(model: str, as_json: bool) -> None:
    """Let a model go from memory, as soon as no job uses it. MODEL is its name, or its key of `models --json`."""
    with client() as workbench:
        _say(workbench.unload(model), "goes as soon as no job uses it", as_json)


@click.command()
@model_argument
@json_flag
def pin(model: str, as_json: bool) -> None:
    """Keep a model in memory when another needs the room."""
    with client() as workbench:
        _say(workbench.pin(model), "stays in memory", as_json)


@click.command()
@model_argument
@json_flag
def unpin(model: str, as_json: bool) -> None:
    """Let a model go again when another needs the room."""
    with client() as workbench:
        _say(workbench.pin(model, is_pinned=False), "may go when another needs the room", as_json)


def _say(held: Sequence[Holding], what: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(one) for one in held], ensure_ascii=False))
        return
    for one in held:
        click.echo(f"{one.model} in {one.precision} on {one.worker} {what}.")


def _page(found: Sequence[FoundModel], held: Sequence[Holding]) -> Iterator[str]:
    if not found:
        yield "No living worker has reported a model: `workbench up` starts one."
    for place, there in groupby(found, lambda one: one.place):
        yield f"On {place}:"
        yield from _list([one.info for one in there])
        yield ""
    if held:
        yield from _table(HEAD_IN_MEMORY, [_held_row(one) for one in held])
    elif found:
        yield "None is in memory."


def _list(infos: Sequence[ModelInfo]) -> Iterator[str]:
    from core.cli_format import plain

    head, *lines = _table(HEAD, [_row(info) for info in infos])
    yield head
    for info, line in zip(infos, lines, strict=True):
        yield line
        if info.problem:
            yield f"    {plain(info.problem)}{_way_out(info)}"


def _row(info: ModelInfo) -> tuple[str, ...]:
    from core.cli_format import plain

    name = f"{info.name}@{info.revision[:7]}" if info.revision and info.origin == "hub" else info.name
    role = f"adapter of {info.base}" if info.base else info.role.replace("_", " ")
    context = f"{info.context_length:,}" if info.context_length else ""
    figures = (_size(info.n_bytes), _count(info.parameters), plain(info.stored_as), context)
    return plain(name), plain(role), *figures, plain(info.licence)


def _way_out(info: ModelInfo) -> str:
    return f" `workbench submit {info.way_out} --model {info.name}` does it." if info.way_out else ""


def _held_row(one: Holding) -> tuple[str, ...]:
    state = " (loading)" if one.is_loading else " (pinned)" if one.is_pinned else ""
    going = " (going)" if one.is_release_requested else ""
    return f"{one.model}{state}{going}", one.precision, _size(one.n_bytes), str(len(one.users)), one.worker


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"


def _count(parameters: int | None) -> str:
    if parameters is None:
        return ""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= size:
            return f"{parameters / size:.2f} {letter}"
    return str(parameters)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as their widest entry, two spaces between them."""
    all_rows = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*all_rows, strict=True)]
    for row in all_rows:
        cells = (
            text.rjust(width) if title in NUMBERS else text.ljust(width)
            for title, text, width in zip(head, row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


MODEL_COMMANDS = (models, unload, pin, unpin)
