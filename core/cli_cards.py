"""`workbench cards` and `drain`: who holds which memory, what runs, what waits and why; and a worker let run dry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from core.cli_common import client

if TYPE_CHECKING:
    from core.overview import CardNow, Held, Line, Overview, Running, Shown, Waits

HELD = ("HOLDS", "PRECISION", "SIZE", "USED BY")
RUNS = ("RUNS", "JOB", "OWNER", "SINCE", "WORKER")
WAITS = ("WAITS", "JOB", "OWNER", "SINCE", "EXPECTED", "WHY")

json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else")


@click.command()
@json_flag
def cards(as_json: bool) -> None:
    """Show each card: what holds its memory, what runs, what waits in its order, why, and how long about."""
    with client() as workbench:
        seen = workbench.overview()
        click.echo(json.dumps(_as_json(seen), ensure_ascii=False) if as_json else "\n".join(_page(seen)))


@click.command()
@click.argument("worker", metavar="WORKER")
@click.option("--undo", is_flag=True, help="Let it take jobs again")
@json_flag
def drain(worker: str, undo: bool, as_json: bool) -> None:
    """Have a worker finish what it runs and take nothing more. WORKER is its id, the end of one, or a host."""
    with client() as workbench:
        found = workbench.drain(worker, is_draining=not undo)
        if as_json:
            click.echo(json.dumps([{"id": one.id, "is_drain_requested": not undo} for one in found]))
            return
        for one in found:
            click.echo(f"{one.id} {'takes jobs again' if undo else 'finishes what it runs and takes nothing more'}.")


def _as_json(seen: Overview) -> dict[str, object]:
    from dataclasses import asdict

    found = asdict(seen)
    for card in found["cards"]:
        card["workers"] = [{name: one[name] for name in _OF_WORKER} for one in card["workers"]]
        for one in card["held"]:
            del one["holding"]["key"]  # it holds a path
    for name in ("cards", "homeless"):
        for running in [one for each in found[name] for one in each.get("running", [each])]:
            if running["progress"]:
                running["progress"] = running["progress"].model_dump(mode="json")
    return found


_OF_WORKER = (
    "id",
    "queue",
    "host",
    "device",
    "memory_kind",
    "memory_total",
    "memory_free",
    "slots",
    "is_drain_requested",
)


def _page(seen: Overview) -> Iterator[str]:
    if not seen.cards:
        yield "No worker is running: `workbench up` starts one."
    for card in seen.cards:
        yield from _card(card)
    for line in seen.lines:
        yield from _line(line)
    if seen.median_error_s is not None:
        n = f"{seen.n_sayings} job{'' if seen.n_sayings == 1 else 's'}"
        yield f"Expected starts were off by {seen.median_error_s:.0f} s in the median, over {n}."


def _card(card: CardNow) -> Iterator[str]:
    from core.cli_format import table
    from core.memory.formula import size

    yield f"{card.name} in {card.host}: {size(card.free_bytes)} free of {size(card.total_bytes)}"
    for worker in card.workers:
        of_worker = sum(one.worker == worker.id for one in card.running)
        drained = ", drained: it takes nothing more" if worker.is_drain_requested else ""
        yield f"  {worker.id}: {of_worker} of {worker.slots} places taken{drained}"
    if card.held:
        yield table(HELD, [_held(one) for one in card.held], {"SIZE"})
    if card.running:
        yield table(RUNS, [_running(one) for one in card.running], {"SINCE"})
    yield ""


def _held(one: Held) -> tuple[str, ...]:
    from core.memory.formula import size

    held = one.holding
    state = " (loading)" if held.is_loading else " (pinned)" if held.is_pinned else ""
    users = ", ".join(f"{user.id[-6:] or 'a private job'} of {user.owner}" for user in one.users)
    return f"{held.model}{state}", held.precision, size(held.n_bytes), users


def _running(one: Running) -> tuple[str, ...]:
    name = one.job.name if not one.progress or not one.progress.message else f"{one.job.name}: {one.progress.message}"
    return _name(one.job, name), one.job.id[-6:], one.job.owner, _moment(one.since), one.worker


def _line(line: Line) -> Iterator[str]:
    from core.cli_format import table

    if line.n_waiting:
        head = f"{line.n_waiting:,} {line.queue} job{' waits' if line.n_waiting == 1 else 's wait'}"
        yield f"{head}; {line.n_running} of {line.n_places} places are taken"
        yield table(WAITS, [_waits(one) for one in line.waiting], {"SINCE"})
        yield ""


def _waits(one: Waits) -> tuple[str, ...]:
    from core.overview import start_words

    facts = (one.job.id[-6:], one.job.owner, _moment(one.since), start_words(one.start))
    return _name(one.job, one.job.name), *facts, one.reason


def _name(job: Shown, name: str) -> str:
    return "a private job" if job.is_private else name


def _moment(at: float) -> str:
    from core.cli_format import moment

    return moment(at)


CARD_COMMANDS = (cards, drain)
