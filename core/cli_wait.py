"""Waiting for a job on a terminal: its place in the queue, its progress, its text as it comes, and its figures.

Text goes to stdout and all else to stderr, so that a pipe receives the answer alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from core.cli_format import figure, plain, print_json
from core.cli_printers import printer_of
from core.errors import NoWorker
from core.overview import at_most_words
from core.states import State

if TYPE_CHECKING:
    from rich.progress import Progress

    from core.cli_printers import Printer
    from core.client import Workbench
    from core.values import Job
    from core.watch import Update

EXIT_CODES = {State.SUCCEEDED: 0, State.FAILED: 1, State.CANCELLED: 4, State.HELD: 1}
INTERRUPTED = 130


def hand_over(workbench: Workbench, job: Job, wait: bool, as_json: bool) -> int:
    """Say that a job is queued, or stay with it until it ends; the exit code.

    Raises:
        NoWorker: it was to be waited for, and nobody will run it.
    """
    if wait:
        return _wait(workbench, job, as_json)
    if as_json:
        print_json(job)
    else:
        click.echo(f"Job {job.id} is {job.state}. See it with `workbench show {job.id}`.")
    return 0


def _wait(workbench: Workbench, job: Job, as_json: bool) -> int:
    try:
        ended = _quietly(workbench, job) if as_json else _Screen(workbench).follow(job)
    except KeyboardInterrupt:
        ways = f"`workbench show {job.id}` shows it, `workbench cancel {job.id}` ends it."
        click.echo(f"\nJob {job.id} goes on. {ways}", err=True)
        return INTERRUPTED
    if as_json:
        print_json(ended)
    return EXIT_CODES[ended.state]


def _quietly(workbench: Workbench, job: Job) -> Job:
    try:
        for update in workbench.watch(job.id):
            job = update.job
    except NoWorker:
        print_json(job)  # it is queued, and a program will want its id
        raise
    return job


class _Screen:
    """One waiting person's terminal."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._bar = _bar()
        self._task = self._bar.add_task("", total=None)
        self._last = ""
        self._job: Job | None = None
        self._printer: Printer | None = None

    def follow(self, job: Job) -> Job:
        """Show a job until it ends."""
        self._printer = printer_of(job.kind)
        with self._bar:
            for update in self._workbench.watch(job.id):
                self._show(update)
                job = update.job
        self._end(job)
        return job

    def _show(self, update: Update) -> None:
        if update.restarted:
            self._break_line()
            click.echo(f"The worker was lost. Attempt {update.job.attempt} begins anew.", err=True)
        for line in self._printer.news(self._job, update.job) if self._printer else ():
            self._bar.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._job = update.job
        if update.text and not self._printer:  # else it is part of what the printer prints at the end
            self._bar.stop()  # the text is the progress now
            self._last = update.text
            click.echo(plain(update.text), nl=False)
            sys.stdout.flush()
        else:
            progress = update.job.progress
            self._bar.update(
                self._task,
                description=self._words(update.job),
                completed=progress.current if progress else 0,
                total=progress.total if progress else None,
            )

    def _words(self, job: Job) -> str:
        if job.state is State.QUEUED and (place := self._workbench.place(job.id)):
            most = self._workbench.settings.most_running
            if most and place.of_owner >= most:
                return f"waiting: {at_most_words('You', place.of_owner)}"
            return job.waiting_reason or f"waiting: {place.ahead} before it, {place.running} running"
        return job.progress.message if job.progress and job.progress.message else str(job.state)

    def _end(self, job: Job) -> None:
        self._break_line()
        if self._printer and (said := self._printer.result(job)):
            click.echo(said)
        for measured in job.measurements:
            click.echo(f"  {figure(measured)}", err=True)
        if job.error:
            click.echo(f"{job.error.message} {job.error.hint}".strip(), err=True)
        if job.state is State.CANCELLED:
            click.echo(f"Job {job.id} was cancelled; what it had made is kept.", err=True)

    def _break_line(self) -> None:
        if self._last and not self._last.endswith("\n"):
            click.echo()
        self._last = ""


def _bar() -> Progress:
    """A bar on stderr that leaves no trace; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Bar(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
