"""`workbench save`: what a job made, copied to a folder of one's own."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli_common import client, job_argument
from core.errors import BadInput, NotFound, SetupError

if TYPE_CHECKING:
    from core.client import Workbench
    from core.values import ArtifactRef


@click.command()
@job_argument
@click.option(
    "--to", "folder", default=".", show_default="here", type=click.Path(path_type=Path, file_okay=False),
    help="Where each artifact gets a folder of its own",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else")
def save(job: str, folder: Path, as_json: bool) -> None:
    """Copy what a job made (a report, a model, an adapter) to a folder; nothing that is there is overwritten."""
    with client() as workbench:
        found = workbench.show(job)
        if not found.artifacts:
            raise BadInput(f"Job {found.id} has made no files.", "`workbench show` has its figures and its text.")
        saved = [_save(workbench, artifact, folder) for artifact in found.artifacts]
    if as_json:
        click.echo(json.dumps({"job": found.id, "saved": [str(path) for paths in saved for path in paths]}))
        return
    for path in (path for paths in saved for path in paths):
        click.echo(path)


def _save(workbench: Workbench, artifact: ArtifactRef, folder: Path) -> list[Path]:
    """Copy its files; the paths of the copies."""
    files = workbench.files(artifact)
    if not files:
        raise NotFound(
            f"The files of {artifact.name} are not on this machine.", "Save it where the worker that made it runs."
        )
    name = re.sub(r"[^\w.-]+", "-", artifact.name).strip("-.") or str(artifact.kind)
    place = folder / f"{name}-{artifact.id[-6:]}"
    if place.exists():
        raise BadInput(f"{place} is there already.", "Name another folder with --to.")
    partial = place.with_name(f".{place.name}.partial")
    try:
        for file, source in files.items():
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partial / file)
        partial.rename(place)
    except OSError as error:
        raise SetupError(f"{place} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [place / file for file in files]
