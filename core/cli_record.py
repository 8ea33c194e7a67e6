"""`workbench record`: a job that has ended, kept as a file that anybody may see and replay."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import click

from core.cli_common import client, job_argument


@click.command()
@job_argument
@click.option(
    "--to", "folder", default=".", show_default="here", type=click.Path(path_type=Path, file_okay=False),
    help="Where the file goes; the page shows those in the folder `recordings` of WORKBENCH_HOME",
)  # fmt: skip
@click.option("--name", default="", help="What the file and its address are called: small letters, digits, hyphens")
@click.option("--title", default="", help="What stands above it; the job's own name unless told")
@click.option("--note", default="", help="What whoever watches it should know, such as what else the machine did")
@click.option("--commit", default="", help="The commit that ran it; that of this program's own source unless told")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else")
def record(job: str, folder: Path, name: str, title: str, note: str, commit: str, as_json: bool) -> None:
    """Record a job that has ended, a pipeline with its steps: all but its files, and who, where and on which paths.

    Its live text is recorded with its times for a quarter of an hour after its end; later it is reconstructed from the
    measured speed, and marked so.
    """
    with client() as workbench:
        from core.recording.file import write
        from core.recording.take import About

        made = workbench.record(job, About(name, title, note, commit or _commit()))
        path = write(made, folder)
    if as_json:
        click.echo(json.dumps({"job": made.whole.id, "recording": made.name, "path": str(path)}))
        return
    click.echo(f"{path}: {len(made.jobs)} job{'' if len(made.jobs) == 1 else 's'}, {path.stat().st_size:,} bytes")


def _commit() -> str:
    """The commit of the source that this program runs from; "" where it was installed otherwise."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return asked.stdout.strip()
