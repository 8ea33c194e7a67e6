"""What the commands share: the client on this installation, and the flags that several of them take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from core.errors import SetupError

if TYPE_CHECKING:
    from core.client import Workbench
    from core.settings import Settings

json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a job, and nothing else")
wait_flag = click.option("--wait", is_flag=True, help="Show the job's text as it comes, and stay until it ends")
job_argument = click.argument("job", metavar="ID")


@contextmanager
def client() -> Iterator[Workbench]:
    """The client of the installation that the environment names.

    Raises:
        SetupError: there is none yet.
    """
    from core.client import Workbench
    from core.settings import read_settings

    settings = read_settings()
    check_is_there(settings)
    workbench = Workbench.open(settings)
    try:
        yield workbench
    finally:
        workbench.close()


def check_is_there(settings: Settings) -> None:
    """Refuse to make an empty database in passing.

    Raises:
        SetupError: the home has none.
    """
    if not settings.database_url and not (settings.home / "workbench.db").exists():
        raise SetupError(
            f"There is no workbench in {settings.home} yet.", "Start one with `workbench up`, or set WORKBENCH_HOME."
        )
