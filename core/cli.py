"""The `workbench` command: its parts put together, and the one edge where an error becomes a sentence and a code.

Start-up counts, since people type it: this file and the `cli_*` ones import click alone, and the rest where it is used.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click

from core import __version__
from core.cli_cards import CARD_COMMANDS
from core.cli_curves import curves
from core.cli_data import DATA_COMMANDS
from core.cli_diff import diff
from core.cli_estimate import estimate
from core.cli_jobs import JOB_COMMANDS
from core.cli_models import MODEL_COMMANDS
from core.cli_record import record
from core.cli_run import RUN_COMMANDS
from core.cli_save import save
from core.cli_submit import submit
from core.cli_users import USER_COMMANDS
from core.errors import BadInput, IllegalMove, NotAllowed, NotFound, SetupError, TooMany, WorkbenchError

FAILED, BAD_INPUT, SETUP, INTERRUPTED = 1, 2, 3, 130

EPILOG = """\
\b
Exit codes:
  0    it went well
  1    the job failed, or something unforeseen happened
  2    bad input: the spec, the flags, a job that is not there or not in the right state, or too many at once
  3    the setup is not right: a part does not run or does not answer
  4    the job was cancelled
  130  you stopped waiting; the job goes on

Settings are environment variables WORKBENCH_*; `workbench doctor` shows whether all is well.
"""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="LLM Workbench")
def workbench() -> None:
    """Run, prompt and compare language models on the machines you have."""


for command in (
    submit,
    *JOB_COMMANDS,
    curves,
    diff,
    save,
    record,
    *MODEL_COMMANDS,
    *CARD_COMMANDS,
    *DATA_COMMANDS,
    estimate,
    *USER_COMMANDS,
    *RUN_COMMANDS,
):
    workbench.add_command(command)


def main() -> None:
    """The entry point of the command `workbench`."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # an odd locale must not end a stream of text
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. What is expected to go wrong is said on stderr, without a traceback."""
    as_json = "--json" in arguments
    try:
        return workbench.main(list(arguments), prog_name="workbench", standalone_mode=False) or 0
    except WorkbenchError as error:
        _tell(error.code, error.message, error.hint, as_json)
        return code_of(error)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        _tell(BadInput.code, error.format_message(), f"See {context.command_path} --help." if context else "", as_json)
        return BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains when it flushes at its end
        return FAILED


def code_of(error: WorkbenchError) -> int:
    """The exit code by which a program tells the kinds of error apart."""
    if isinstance(error, SetupError):
        return SETUP
    return BAD_INPUT if isinstance(error, BadInput | NotFound | NotAllowed | IllegalMove | TooMany) else FAILED


def _tell(code: str, message: str, hint: str, as_json: bool) -> None:
    trouble = {"code": code, "message": message, "hint": hint}
    click.echo(json.dumps({"error": trouble}, ensure_ascii=False) if as_json else f"{message} {hint}".strip(), err=True)
