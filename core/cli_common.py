"""What the commands share: the client on this installation, and the flags that several of them take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from core.errors import BadInput, NotFound, SetupError

if TYPE_CHECKING:
    from core.client import Workbench
    from core.settings import Settings

json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a job, and nothing else")
wait_flag = click.option("--wait", is_flag=True, help="Show the job's text as it comes, and stay until it ends")
set_flag = click.option(
    "--set", "changes", multiple=True, metavar="STEP.FIELD=VALUE", help="Another value for a field of a step"
)
job_argument = click.argument("job", metavar="ID")


def read_changes(changes: Sequence[str]) -> dict[str, Any]:
    """What `--set` says, by STEP.FIELD; a value is read as JSON where it is such.

    Raises:
        BadInput: one has no value.
    """
    found = {}
    for change in changes:
        where, has_value, value = change.partition("=")
        if not has_value:
            raise BadInput(f"--set {change} gives no value.", "Write --set STEP.FIELD=VALUE.")
        try:
            found[where.strip()] = json.loads(value)
        except ValueError:
            found[where.strip()] = value
    return found


@contextmanager
def client(as_user: bool = True) -> Iterator[Workbench]:
    """The client of the installation that the environment names, for the user whom it names.

    Raises:
        SetupError: there is none yet.
    """
    from core.client import Workbench
    from core.settings import read_settings

    settings = read_settings()
    check_is_there(settings)
    workbench = Workbench.open(settings)
    try:
        yield _as_user(workbench) if as_user else workbench
    finally:
        workbench.close()


def _as_user(workbench: Workbench) -> Workbench:
    """The client for the user whom WORKBENCH_USER names, where people have accounts."""
    from core.accounts import who_is
    from core.modes import Mode

    settings = workbench.settings
    if settings.mode is not Mode.TEAM:
        return workbench
    try:
        user = workbench.store.user(settings.user)
    except NotFound as error:
        raise SetupError(
            f"WORKBENCH_USER is {settings.user}, and there is no such user.",
            "`workbench user list` shows them, `workbench user add NAME` makes one.",
        ) from error
    return workbench.acting_for(who_is(user.name, user.role))


def check_is_there(settings: Settings) -> None:
    """Refuse to make an empty database in passing.

    Raises:
        SetupError: the home has none.
    """
    if not settings.database_url and not (settings.home / "workbench.db").exists():
        raise SetupError(
            f"There is no workbench in {settings.home} yet.", "Start one with `workbench up`, or set WORKBENCH_HOME."
        )
