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
@click.option("--gpu", is_flag=True, help="Load a model in each precision: predicted beside measured, PASS or FAIL")
@click.option("--model", help="Which model --gpu loads; the built-in one if none is named")
@click.option("--dtype", multiple=True, help="Only this precision; may be given several times")
def doctor(as_json: bool, gpu: bool, model: str | None, dtype: tuple[str, ...]) -> int:
    """Check every part, and say what is wrong and how to mend it."""
    import json

    from core.doctor import examine
    from core.settings import read_settings

    if gpu:
        return _prove(model, dtype, as_json)
    checks = []
    for check in examine(read_settings()):
        checks.append(check)
        if not as_json:
            click.echo(check.line())
    is_well = not any(check.is_problem for check in checks)
    if as_json:
        click.echo(json.dumps({"is_well": is_well, "checks": [vars(check) for check in checks]}, ensure_ascii=False))
    return 0 if is_well else 3


def _prove(model: str | None, dtype: tuple[str, ...], as_json: bool) -> int:
    import json

    from core.catalog import BUILTIN_NAME
    from core.precision import parse_precision
    from core.prove import begin, prove
    from core.settings import read_settings

    only = tuple(str(parse_precision(one)) for one in dtype)
    home = read_settings().home
    report = begin(home, model or BUILTIN_NAME)
    if not as_json:
        click.echo("\n".join(report.head()))
    for proof in prove(home, report, only, lambda said: click.echo(f"… {said}", err=True)):
        if not as_json:
            click.echo(proof.line())
    kept = report.keep(home / "reports")
    click.echo(json.dumps(report.as_json()) if as_json else "\n".join([*report.tail(), f"Kept in {kept}."]))
    return 0 if report.passes else 1


def _become(module: str) -> NoReturn:
    """Turn into a part: what supervises this process then speaks with the part itself."""
    # without the first flag a folder `web` or `core` where the command is typed would be run in its place
    os.execv(sys.executable, [sys.executable, "-P", "-m", module])  # noqa: S606


RUN_COMMANDS = (up, web, worker, migrate, doctor)
