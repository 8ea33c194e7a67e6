"""`workbench user …` and `workbench secrets`: who may sign in, and what signs their cookies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli_common import client, json_flag

if TYPE_CHECKING:
    from core.accounts import Accounts
    from core.client import Workbench

name_argument = click.argument("name", metavar="NAME")


@click.group("user")
def user() -> None:
    """Who may sign in, in team mode. Whoever can read the database may do all of this."""


@user.command("add")
@name_argument
@click.option("--administrator", is_flag=True, help="May also see and change every job, and manage cards and users")
@click.option("--password", "asks", is_flag=True, help="Ask for a password here, in place of making a link")
def add(name: str, administrator: bool, asks: bool) -> None:
    """Make a user, and print the link by which they set their password, once."""
    from core.store.users import Role

    with _accounts() as (bench, accounts):
        token = accounts.invite(name, Role.ADMINISTRATOR if administrator else Role.MEMBER)
        if asks:
            accounts.set_password(name, _asked())
            click.echo(f"{name} may sign in.")
        else:
            _say_link(bench, name, token)


@user.command("link")
@name_argument
def link(name: str) -> None:
    """Print a new link by which a user sets a password, once; an earlier one is void."""
    with _accounts() as (bench, accounts):
        _say_link(bench, name, accounts.link(name))


@user.command("password")
@name_argument
def password(name: str) -> None:
    """Ask for a user's new password; their browsers have to sign in anew."""
    with _accounts() as (bench, accounts):
        bench.store.user(name)
        accounts.set_password(name, _asked())
        click.echo(f"{name} signs in with the new password from now on.")


@user.command("role")
@name_argument
@click.argument("role", type=click.Choice(["member", "administrator"]))
def role(name: str, role: str) -> None:
    """Make a user an administrator, or a member."""
    from core.store.users import Role

    with _accounts() as (bench, _):
        bench.store.set_role(name, Role(role))
        click.echo(f"{name} is {'an administrator' if role == 'administrator' else 'a member'}.")


@user.command("remove")
@name_argument
def remove(name: str) -> None:
    """Let somebody sign in no more, and cancel what they have unfinished. What they made stays."""
    with _accounts() as (bench, _):
        n = bench.remove_user(name)
        click.echo(f"{name} signs in no more; {n} of their jobs {'was' if n == 1 else 'were'} cancelled.")


@user.command("end")
@name_argument
def end(name: str) -> None:
    """End every session of a user."""
    with _accounts() as (bench, _):
        n = bench.store.end_sessions(bench.store.user(name).name)
        click.echo(f"{n} session{'' if n == 1 else 's'} of {name} ended.")


@user.command("list")
@json_flag
def list_users(as_json: bool) -> None:
    """Show who may sign in."""
    import json
    from dataclasses import asdict

    with _accounts() as (bench, _):
        for one in bench.store.users():
            if as_json:
                click.echo(json.dumps(asdict(one)))
                continue
            state = "removed" if one.removed_at else one.role if one.has_password else f"{one.role}, no password yet"
            click.echo(f"{one.name:<20} {state:<32} {one.n_sessions} session{'' if one.n_sessions == 1 else 's'}")


@click.command()
@click.option("--to", "path", type=click.Path(path_type=Path), default=Path(".env"), show_default=True)
def secrets(path: Path) -> None:
    """Write an .env with new secrets for docker compose, readable by you alone. One that is there is left alone."""
    import os
    from secrets import token_urlsafe

    from core.errors import BadInput

    lines = [
        "# Written by `workbench secrets`. Keep it to yourself: whoever has it can sign in as anybody.",
        *(f"{name}={token_urlsafe(32)}" for name in ("WORKBENCH_SECRET", "POSTGRES_PASSWORD", "REDIS_PASSWORD")),
    ]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise BadInput(f"{path} is there already and is left as it is.", "Name another file by --to.") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines) + "\n")
    click.echo(f"Secrets for docker compose are in {path}.")


@contextmanager
def _accounts() -> Iterator[tuple[Workbench, Accounts]]:
    """The client as an administrator, which whoever can write the database is."""
    from core.access import Who
    from core.accounts import Accounts

    with client(as_user=False) as bench:
        root = Who(bench.settings.user, is_administrator=True)
        yield bench.acting_for(root), Accounts(bench.settings, bench.store)


def _asked() -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _say_link(bench: Workbench, name: str, token: str) -> None:
    from core.accounts import LINK_DAYS, link_of

    click.echo(f"{name} sets a password, once and within {LINK_DAYS} days, at\n{link_of(bench.settings, token)}")


USER_COMMANDS = (user, secrets)
