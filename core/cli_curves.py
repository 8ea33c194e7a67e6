"""`workbench curves`: what a training logged, in a table, and as files for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli_common import client, job_argument
from core.errors import BadInput

if TYPE_CHECKING:
    from core.values import Metric

HEAD = ("CURVE", "STEP", "LAST", "LEAST", "MOST", "POINTS")
UNITS = {"bytes": "bytes", "percent": "%", "celsius": "°C", "watts": "W", "per_s": "tokens/s", "seconds": "s"}


@dataclass(frozen=True)
class Curve:
    """One curve in short: its last point, its extremes, and of how many points it is."""

    step: int
    last: float
    least: float
    most: float
    n: int


@click.command()
@job_argument
@click.option(
    "--tensorboard", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Write an event file too, in a folder of the run's own below this one",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else")
def curves(job: str, folder: Path | None, as_json: bool) -> None:
    """Show the curves of a training in short: of each the last value, the least and the most."""
    with client() as workbench:
        found = workbench.show(job)
        metrics = workbench.metrics(found.id)
        if not metrics:
            raise BadInput(f"Job {found.id} has logged no curves.")
        path = workbench.write_curves(found.id, folder) if folder else None
    in_short = _in_short(metrics)
    if as_json:
        each = {name: asdict(one) for name, one in in_short.items()}
        said = {"job": found.id, "curves": each, "tensorboard": str(path) if path else None}
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    from core.cli_format import table

    click.echo(table(HEAD, [_row(name, one) for name, one in in_short.items()], HEAD[1:]))
    if path:
        click.echo(f"\n{path}\nLook at it with `tensorboard --logdir {folder}`.")


def _in_short(metrics: Sequence[Metric]) -> dict[str, Curve]:
    from core.training.tensorboard import tag_of

    points: dict[str, list[tuple[int, float]]] = {}
    for one in metrics:
        for name, value in one.values.items():
            points.setdefault(tag_of(one.sort, name), []).append((one.step, value))
    return {name: _curve(each) for name, each in sorted(points.items())}


def _curve(points: Sequence[tuple[int, float]]) -> Curve:
    values = [value for _, value in points]
    return Curve(points[-1][0], points[-1][1], min(values), max(values), len(points))


def _row(name: str, one: Curve) -> tuple[str, ...]:
    return name, f"{one.step:,}", *(_figure(name, value) for value in (one.last, one.least, one.most)), f"{one.n:,}"


def _figure(name: str, value: float) -> str:
    from core.format import small, written

    unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
    return written(value, unit) if unit else small(value)
