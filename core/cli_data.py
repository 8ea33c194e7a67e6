"""`workbench data`: the files with rows that were given to this workbench, and giving it one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli_common import client

if TYPE_CHECKING:
    from core.data.uploads import Upload

json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else")


@click.group(invoke_without_command=True)
@json_flag
@click.pass_context
def data(context: click.Context, as_json: bool) -> None:
    """List the data that was uploaded and the built-in data; `add` and `remove` change the former.

    An id is what `--data` of a job takes.
    """
    if context.invoked_subcommand:
        return
    with client() as workbench:
        uploads = workbench.uploads()
    if as_json:
        click.echo(json.dumps({"uploads": [asdict(one) for one in uploads]}, ensure_ascii=False))
        return
    click.echo("\n".join((*map(_line, uploads), *_built_in())))


@data.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What it is called, with its ending; empty: as the file is")
@click.option("--private", "is_private", is_flag=True, help="Only you and administrators see it")
@json_flag
def add(file: Path, name: str, is_private: bool, as_json: bool) -> None:
    """Keep a copy of FILE: JSON Lines, JSON, CSV, Parquet, or text with a row a line; packed ones too."""
    with client() as workbench:
        _say(workbench.upload(file, name, is_private=is_private or None), "is kept", as_json)


@data.command()
@click.argument("upload", metavar="ID")
@json_flag
def remove(upload: str, as_json: bool) -> None:
    """Forget an upload."""
    with client() as workbench:
        _say(workbench.remove_upload(upload), "is gone", as_json)


def _say(upload: Upload, what: str, as_json: bool) -> None:
    click.echo(json.dumps(asdict(upload), ensure_ascii=False) if as_json else f"{_line(upload)} {what}.")


def _line(upload: Upload) -> str:
    from core.cli_format import plain

    return f"{upload.id}  {_size(upload.n_bytes)}  {plain(upload.name)}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes >= 1e5 else f"{n_bytes:,} bytes"


def _built_in() -> Sequence[str]:
    from core.data.builtin import BUILTIN_DATA

    return [f"{name}: {one.help} (built in)" for name, one in BUILTIN_DATA.items()]


DATA_COMMANDS = (data,)
