"""The commands on jobs that are there: list, show, cancel, pause, resume, retry, restart, delete, name and the like."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from core.cli_common import client, job_argument, json_flag, read_changes, set_flag, wait_flag
from core.errors import BadInput

if TYPE_CHECKING:
    from core.client import Workbench
    from core.values import Job


@click.command()
@click.option("--kind", default="", help="Only this kind")
@click.option("--state", default="", metavar="STATE", help="queued, running, held, succeeded, failed or cancelled")
@click.option("--owner", default="", help="Only of this owner")
@click.option("--model", default="", help="Only with this model")
@click.option("--words", default="", help="Only with all of these words in prompt, answer, name or note")
@click.option("--before", default="", metavar="ID", help="Only older than this job: the next page")
@click.option("--limit", default=20, type=click.IntRange(1, 1000), show_default=True, help="How many")
@json_flag
def jobs(kind: str, state: str, owner: str, model: str, words: str, before: str, limit: int, as_json: bool) -> None:
    """List jobs, newest first."""
    with client() as workbench:
        from core.cli_format import line_of, print_json
        from core.states import State
        from core.store.queries import JobFilter

        if state and state not in set(State):
            raise BadInput(f"state: a job is {', '.join(State)}, not {state}.")
        wanted = JobFilter(kind, state, owner, model, words)
        for job in workbench.list(wanted, before=workbench.show(before).id if before else "", limit=limit):
            print_json(job) if as_json else click.echo(line_of(job))


@click.command()
@job_argument
@click.option("--traceback", is_flag=True, help="With the traceback that each attempt left")
@json_flag
def show(job: str, traceback: bool, as_json: bool) -> None:
    """Show one job with its history. ID may be the last characters of an id, at least four."""
    with client() as workbench:
        from core.cli_format import page_of, print_json

        found, events = workbench.show(job), workbench.events(job)
        if as_json:
            print_json(found, events=[event.model_dump(mode="json") for event in events])
            return
        click.echo(page_of(found, events))
        for attempt in workbench.attempts(job) if traceback else ():
            click.echo(f"\nAttempt {attempt.attempt} on {attempt.worker}: {attempt.outcome}\n{attempt.traceback or ''}")


@click.command()
@job_argument
@json_flag
def cancel(job: str, as_json: bool) -> None:
    """Cancel a job; what it has made so far is kept."""
    with client() as workbench:
        found = workbench.cancel(job)
        _say(found, "is asked to stop" if found.state == "running" else "is cancelled", as_json)


@click.command()
@job_argument
@json_flag
def pause(job: str, as_json: bool) -> None:
    """Hold a job until it is resumed; a running one saves what it has and lets its card go."""
    with client() as workbench:
        found = workbench.pause(job)
        _say(found, "is asked to pause" if found.state == "running" else "is held", as_json)


@click.command()
@job_argument
@set_flag
@json_flag
def resume(job: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Let a paused job go on from where it was; a pipeline runs the step again that held it."""
    with client() as workbench:
        found = workbench.resume_pipeline(job, read_changes(changes)) if changes else workbench.resume(job)
        _say(found, "goes on" if found.state == "running" else f"is {found.state}", as_json)


@click.command()
@job_argument
@wait_flag
@json_flag
def retry(job: str, wait: bool, as_json: bool) -> int:
    """Run a finished job again, as a new one."""
    with client() as workbench:
        from core.cli_wait import hand_over

        return hand_over(workbench, workbench.retry(job), wait, as_json)


@click.command()
@job_argument
@click.option("--from", "from_step", default="", metavar="STEP", help="Run this step and all that depend on it anew")
@set_flag
@wait_flag
@json_flag
def restart(job: str, from_step: str, changes: tuple[str, ...], wait: bool, as_json: bool) -> int:
    """Start a pipeline again, as a new one; steps for which nothing has changed are taken over."""
    with client() as workbench:
        from core.cli_wait import hand_over

        return hand_over(workbench, workbench.restart(job, from_step, read_changes(changes)), wait, as_json)


@click.command()
@job_argument
@click.option("--checkpoints", is_flag=True, help="Only its checkpoints; of a paused job all but the newest")
@click.option("--yes", is_flag=True, help="Without asking")
@json_flag
def delete(job: str, checkpoints: bool, yes: bool, as_json: bool) -> None:
    """Delete a job with its files, for good."""
    with client() as workbench:
        found = workbench.show(job)
        named = f"{found.kind} {found.id} ({found.name})"
        if checkpoints:
            _delete_checkpoints(workbench, found, named, yes, as_json)
            return
        _ask(f"Delete {named} with its files?", yes, as_json)
        workbench.delete(found.id)
        _say(found, "is deleted", as_json)


@click.command()
@job_argument
@click.argument("name")
@json_flag
def name(job: str, name: str, as_json: bool) -> None:
    """Give a job another name."""
    with client() as workbench:
        _say(workbench.describe(job, name=name), f"is named {name}", as_json)


@click.command()
@job_argument
@click.argument("text")
@json_flag
def note(job: str, text: str, as_json: bool) -> None:
    """Put a note on a job; an empty one removes it."""
    with client() as workbench:
        _say(workbench.describe(job, note=text), "has a note" if text else "has no note", as_json)


@click.command()
@job_argument
@json_flag
def hide(job: str, as_json: bool) -> None:
    """Let nobody but you and administrators see a job of yours."""
    with client() as workbench:
        from core.values import Visibility

        _say(workbench.describe(job, visibility=Visibility.PRIVATE), "is private", as_json)


@click.command()
@job_argument
@json_flag
def share(job: str, as_json: bool) -> None:
    """Let the team see a job of yours again."""
    with client() as workbench:
        from core.values import Visibility

        _say(workbench.describe(job, visibility=Visibility.TEAM), "is seen by the team", as_json)


def _ask(question: str, yes: bool, as_json: bool) -> None:
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise BadInput("Deleting is for good: add --yes.")
        click.confirm(question, abort=True, err=True)


def _delete_checkpoints(workbench: Workbench, job: Job, named: str, yes: bool, as_json: bool) -> None:
    from core.cli_format import print_json
    from core.format import written

    which = "all checkpoints but the newest" if job.state == "held" else "the checkpoints"
    _ask(f"Delete {which} of {named}, {written(workbench.deletable_bytes(job), 'bytes')}?", yes, as_json)
    n_bytes = workbench.delete_checkpoints(job.id)
    if as_json:
        print_json(workbench.show(job.id), freed_bytes=n_bytes)
        return
    freed = f"{written(n_bytes, 'bytes')} are free again" if n_bytes else "its worker deletes them within ten minutes"
    click.echo(f"Job {job.id}: {which} are deleted; {freed}.")


def _say(job: Job, what: str, as_json: bool) -> None:
    from core.cli_format import print_json

    print_json(job) if as_json else click.echo(f"Job {job.id} {what}.")


JOB_COMMANDS = (jobs, show, cancel, pause, resume, retry, restart, delete, name, note, hide, share)
