"""`workbench estimate`: what a model needs in memory, before anything is loaded, against the cards there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from core.memory import Estimate, Model, Precision, Training
    from core.memory.advice import Recommendation
    from core.memory.cards import KnownCard

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
@click.option("--framework-bytes", type=click.IntRange(0), default=0, help="Measured share of context and libraries")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, each part with its formula")
def estimate(model: str, as_json: bool, **asked: Any) -> None:
    """Say what MODEL needs: a model's name, its folder, its config.json or a GGUF file. Nothing is loaded."""
    opened = _open(model)
    wanted = _estimate(opened, asked, _precision(asked["dtype"]))
    if as_json:
        click.echo(json.dumps({"model": model, **wanted.as_json(), **_further(wanted, asked)}, ensure_ascii=False))
    else:
        _show(model, wanted, asked)


def _open(name: str) -> Model:
    from core.catalog import resolve
    from core.memory.files import open_model
    from core.settings import read_settings

    path = Path(name).expanduser()
    return open_model(path if path.is_file() else resolve(name, read_settings().home).folder)


def _precision(text: str) -> Precision:
    from core.memory import parse_precision

    return parse_precision(text)


def _estimate(opened: Model, asked: dict[str, Any], precision: Precision) -> Estimate:
    from core.memory import estimate as estimate_memory

    return estimate_memory(
        opened,
        precision=precision,
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


def _cards() -> tuple[KnownCard, ...]:
    from core.cards import read_cards
    from core.memory.cards import KNOWN_CARDS, here

    return (*KNOWN_CARDS, *here(read_cards()))


def _recommended(others: dict[Precision, Estimate], card: KnownCard) -> Recommendation:
    from core.memory.advice import recommend

    model = next(iter(others.values())).model
    verdicts = {one: other.fit(card.usable_bytes).verdict for one, other in others.items()}
    return recommend(model.table, verdicts, model.packing)


def _others(wanted: Estimate, asked: dict[str, Any]) -> dict[Precision, Estimate]:
    """The same in each precision that it can be had in, for comparison."""
    from core.memory.estimate import SHOWN
    from core.memory.training import is_trainable

    training = wanted.training
    shown = [one for one in SHOWN if training is None or is_trainable(training, one)]
    return {one: _estimate(wanted.model, asked, one) for one in shown}


def _further(wanted: Estimate, asked: dict[str, Any]) -> dict[str, Any]:
    from core.memory import largest_batch, largest_context

    others = _others(wanted, asked)
    fits = [
        {
            "card": card.name,
            "source": card.source,
            "recommended": _recommended(others, card).precision,
            "by_precision": {str(one): other.fit(card.usable_bytes).as_json() for one, other in others.items()},
            "largest_context": largest_context(wanted, card.usable_bytes),
            "largest_batch": largest_batch(wanted, card.usable_bytes),
        }
        for card in _cards()
    ]
    return {"cards": fits}


def _show(name: str, wanted: Estimate, asked: dict[str, Any]) -> None:
    from rich.console import Console

    from core.memory.formula import number, size

    console, table = Console(), wanted.model.table
    console.print(f"[bold]{name}[/bold]: {number(table.parameters)} parameters ({table.parameters:,}), {table.source}")
    console.print(f"{_work(wanted)}, {wanted.precision}: [bold]{size(wanted.needed_bytes)}[/bold] at the peak\n")
    console.print(_parts_table(wanted), _cards_table(wanted, asked))
    console.print(_reach(wanted))
    for note in wanted.notes:
        console.print(f"• {note}", highlight=False)


def _work(wanted: Estimate) -> str:
    work = f"{wanted.training.method} training" if wanted.training else "Generating"
    return f"{work} with {wanted.context:,} tokens × {wanted.batch:,}, {wanted.attention} attention"


def _parts_table(wanted: Estimate) -> Any:
    from rich.table import Table

    from core.memory.formula import size

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("part", "size", "formula"):
        table.add_column(title, justify="right" if title == "size" else "left")
    for one in wanted.parts:
        table.add_row(one.name, size(one.n_bytes), one.formula)
    table.add_row("total", size(wanted.total_bytes), f"while loading: {size(wanted.load_peak_bytes)}", style="bold")
    return table


def _cards_table(wanted: Estimate, asked: dict[str, Any]) -> Any:
    from rich.table import Table

    from core.memory.formula import size
    from core.memory.weights import rule_of_thumb

    table = Table(box=None, pad_edge=False, header_style="bold", title="", show_edge=True)
    cards = _cards()
    for title in ("precision", "needs", "rule of thumb", *(card.name for card in cards)):
        table.add_column(title, overflow="fold")
    others = _others(wanted, asked)
    for precision, other in others.items():
        words = [str(other.fit(card.usable_bytes).verdict) for card in cards]
        thumb = size(rule_of_thumb(other.model.table, precision).n_bytes)
        coloured = [f"[{COLOURS[word]}]{word}[/]" for word in words]
        table.add_row(str(precision), size(other.needed_bytes), thumb, *coloured)
    chosen = [_recommended(others, card).precision for card in cards]
    table.add_row("to take", "", "", *(str(one or "none") for one in chosen), style="bold")
    return table


def _reach(wanted: Estimate) -> str:
    from core.memory import largest_batch, largest_context
    from core.memory.fit import smallest_card

    cards = [card for card in _cards() if not card.is_host]
    smallest = smallest_card(wanted.needed_bytes, cards, wanted.framework_bytes)
    made_for = wanted.model.trained_context
    lines = [f"\nMade for {made_for:,} tokens."] if made_for else [""]
    lines += [f"Smallest card that holds it with room to spare: {smallest.name if smallest else 'none of these'}."]
    for card in cards:
        if context := largest_context(wanted, card.usable_bytes):
            batch = largest_batch(wanted, card.usable_bytes)
            lines.append(f"{card.name}: up to {context:,} tokens at this batch, {batch:,} rows at this context.")
    return "\n".join(lines)
