"""`workbench estimate`: what a model needs in memory, before anything is loaded, against the cards there are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from core.memory import Estimate, Model, Training
    from core.memory.compare import OnCard

COLOURS = {"fits": "green", "tight": "yellow", "exceeds": "red"}
OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "sgd")


@click.command()
@click.argument("model", metavar="MODEL")
@click.option("--dtype", default="bfloat16", show_default=True, help="Precision whose parts are shown")
@click.option("--context", type=int, default=4096, show_default=True, help="Tokens a row, prompt and answer together")
@click.option("--batch", type=int, default=1, show_default=True, help="Rows at once")
@click.option("--attention", default="auto", show_default=True, help="eager, sdpa or flash_attention_2")
@click.option("--train", type=click.Choice(["lora", "qlora", "full"]), help="Reckon a training in place of generating")
@click.option("--rank", type=int, default=8, show_default=True, help="Rank of the adapter")
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="adamw_torch_fused", show_default=True)
@click.option(
    "--framework-bytes",
    type=click.IntRange(0),
    help="Share of context and libraries; what a worker measured on this machine's card unless told",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, each part with its formula")
def estimate(model: str, as_json: bool, **asked: Any) -> None:
    """Say what MODEL needs: a known name, a folder, a config.json or a GGUF file. Nothing is loaded."""
    from core.cards import read_cards
    from core.memory.cards import KNOWN_CARDS, here
    from core.memory.compare import on_cards

    asked["framework_bytes"] = _framework() if asked["framework_bytes"] is None else asked["framework_bytes"]
    wanted = _estimate(_open(model), asked)
    found = on_cards(wanted, (*KNOWN_CARDS, *here(read_cards())))
    if as_json:
        said = {"model": model, **wanted.as_json(), "cards": [one.as_json() for one in found]}
        click.echo(json.dumps(said, ensure_ascii=False))
    else:
        _show(model, wanted, found)


def _framework() -> int:
    """What was measured on this machine's card; a host's share says nothing of a card."""
    from core.cards import read_card
    from core.memory.framework import framework_bytes
    from core.settings import read_settings

    card = read_card()
    return framework_bytes(read_settings().home, card.name) if card.memory_kind == "gpu" else 0


def _open(name: str) -> Model:
    from core.memory.known import open_here
    from core.settings import read_settings

    return open_here(name, read_settings().home)


def _estimate(opened: Model, asked: dict[str, Any]) -> Estimate:
    from core.memory import estimate as estimate_memory
    from core.memory import parse_precision

    return estimate_memory(
        opened,
        precision=parse_precision(asked["dtype"]),
        context=asked["context"],
        batch=asked["batch"],
        attention=asked["attention"],
        training=_training(asked),
        framework_bytes=asked["framework_bytes"],
    )


def _training(asked: dict[str, Any]) -> Training | None:
    from core.memory import Optimizer, Training

    if not asked["train"]:
        return None
    return Training(asked["train"], rank=asked["rank"], optimizer=Optimizer(asked["optimizer"]))


def _show(name: str, wanted: Estimate, found: list[OnCard]) -> None:
    from rich.console import Console

    from core.memory.formula import number, size

    console, table = Console(), wanted.model.table
    console.print(f"[bold]{name}[/bold]: {number(table.parameters)} parameters ({table.parameters:,}).")
    console.print(f"Shapes from {table.source}.", highlight=False)
    console.print(f"{_work(wanted)}: [bold]{size(wanted.needed_bytes)}[/bold] at the peak.\n")
    console.print(_parts(wanted))
    console.print()
    console.print(_cards(wanted, found))
    console.print()
    for line in (*_facts(wanted, found), *wanted.notes):
        console.print(f"• {line}", highlight=False)


def _work(wanted: Estimate) -> str:
    work = wanted.work
    kind = f"{work.training.method} training" if work.training else "Generating"
    return f"{kind} with {work.context:,} tokens × {work.batch:,}, {work.attention} attention, {work.precision}"


def _table(*titles: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _parts(wanted: Estimate) -> Table:
    from core.memory.formula import size

    table = _table("part", "size", "formula")
    for one in wanted.parts:
        table.add_row(one.name, size(one.n_bytes), one.formula)
    table.add_row("total", size(wanted.total_bytes), f"while loading: {size(wanted.load_peak_bytes)}", style="bold")
    return table


def _cards(wanted: Estimate, found: list[OnCard]) -> Table:
    from core.memory.compare import in_each_precision
    from core.memory.formula import number, size
    from core.memory.weights import rule_of_thumb

    others = in_each_precision(wanted)
    table = _table("card", *map(str, others), "to take", "tokens", "rows")
    table.add_row("needs", *(size(other.needed_bytes) for other in others.values()))
    thumbs = (size(rule_of_thumb(wanted.model.table, one).n_bytes) for one in others)
    table.add_row("rule of thumb", *thumbs, style="dim")
    for one in found:
        words = [str(fit.verdict) for fit in one.fits.values()]
        reach = (number(one.largest_context), number(one.largest_batch))
        chosen = str(one.recommended.precision or "none")
        table.add_row(one.card.name, *(f"[{COLOURS[word]}]{word}[/]" for word in words), chosen, *reach)
    return table


def _facts(wanted: Estimate, found: list[OnCard]) -> list[str]:
    from core.memory.compare import smallest_card

    work, smallest = wanted.work, smallest_card(wanted, [one.card for one in found])
    made_for = wanted.model.trained_context
    return [
        f"Smallest card that holds it with room to spare: {smallest.name if smallest else 'none of these'}.",
        f"tokens, rows: the most that fit in {work.precision}, the other as asked."
        + (f" The model was made for {made_for:,} tokens." if made_for else ""),
    ]
