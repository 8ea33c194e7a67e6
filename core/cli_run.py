"""The commands that start and look after a workbench: up, web, worker, migrate, doctor."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click


@click.command()
def up() -> int:
    """Start everything, and stop it again at Ctrl-C."""
    from core.settings import read_settings
    from core.supervisor import up as run_up

    return run_up(read_settings())


@click.command()
def web() -> None:
    """Run the page alone, in the foreground."""
    _become("web")


@click.command()
def worker() -> None:
    """Run a worker alone, in the foreground."""
    _become("worker")


@click.command()
def migrate() -> None:
    """Bring the tables of the database up to date."""
    from core.migrate import head
    from core.migrate import migrate as run_migrations
    from core.settings import read_settings

    is_changed = run_migrations(read_settings().database)
    click.echo(f"The database is {'now' if is_changed else 'already'} at revision {head()}.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all checks")
def doctor(as_json: bool) -> int:
    """Check every part, and say what is wrong and how to mend it."""
    import json

    from core.doctor import examine
    from core.settings import read_settings

    checks = []
    for check in examine(read_settings()):
        checks.append(check)
        if not as_json:
            click.echo(check.line())
    is_well = not any(check.is_problem for check in checks)
    if as_json:
        click.echo(json.dumps({"is_well": is_well, "checks": [vars(check) for check in checks]}, ensure_ascii=False))
    return 0 if is_well else 3


def _become(module: str) -> NoReturn:
    """Turn into a part: what supervises this process then speaks with the part itself."""
    # without the first flag a folder `web` or `core` where the command is typed would be run in its place
    os.execv(sys.executable, [sys.executable, "-P", "-m", module])  # noqa: S606


RUN_COMMANDS = (up, web, worker, migrate, doctor)
