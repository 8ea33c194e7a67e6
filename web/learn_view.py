"""“What quantization does” as fragments: every number is one that the job found in the visitor's own model."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from core.comparison.inspected import Forward, Inspected
from core.values import Job
from web import learn_charts
from web.charts import placed
from web.format import significant, written
from web.headlines import short
from web.templates import fragment

MINUS = "\N{MINUS SIGN}"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
HEAT_ROW, HEAT_LEAST, HEAT_MARGIN = 15, 220, 120
STEPS = {
    "input": "Each row of the input becomes int8 codes too, with a scale of its own. Outlier columns are left out.",
    "multiply": "Whole numbers times whole numbers, added up in 32 bit.",
    "rescale": "Each sum is multiplied by the scale of its input row and of its weight row.",
    "outliers": "The outlier columns are multiplied in 16 bit, their weights decoded on the way, and added.",
    "decode": "Each code becomes its level times its block's scale: a 16-bit weight that lives only for this product.",
    "multiply 16": "The usual product in 16 bit.",
}
NAMES = {
    "input": "Encode the input",
    "multiply": "Multiply",
    "rescale": "Put the scales back",
    "outliers": "Add the outlier columns",
    "decode": "Decode the weights",
}


def read_found(job: Job) -> Inspected | None:
    """What a job found; None where it has found nothing yet."""
    body = {name: value for name, value in (job.result or {}).items() if name in Inspected.model_fields}
    found = Inspected.model_validate(body) if body.get("module") else None
    return found if found and found.weights and found.forward else None


def render(job: Job, found: Inspected) -> str:
    """Everything, from top to bottom."""
    return fragment(
        "learn_found",
        job=job,
        found=found,
        name=short(found.model),
        shares={one.name: one for one in found.precisions},
        forward={one.precision: one for one in found.forward},
        chart=lambda which, height=260: _placed(found, which, height),
        percent=percent,
        number=number,
        written=written,
        what=what,
        step_names=NAMES,
        heat_height=_heat_height(found),
    )


def percent(share: float) -> str:
    """A share for people."""
    return f"{significant(100 * share)} %" if share else "0 %"


def number(value: float, digits: int = 4) -> str:
    """A weight, a scale, a score: as short as it can be read."""
    if value and not 1e-4 <= abs(value) < 1e6:
        digits_of, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{digits_of} × 10{str(int(power)).translate(RAISED)}".replace("-", MINUS)
    return significant(value, digits).replace("-", MINUS) if value else "0"


def what(forward: Forward, step: str) -> str:
    """What a step does, in a sentence."""
    return STEPS["multiply 16" if forward.precision == "nf4" and step == "multiply" else step]


def _placed(found: Inspected, which: str, height: int) -> Markup:
    title, chart = _charts(found)[which]
    return placed(title, height, chart())


def _charts(found: Inspected) -> dict[str, tuple[str, Any]]:
    head, worst, typical = found.head, found.worst_block, found.typical_block
    int8, nf4 = found.int8_errors, found.nf4_errors
    made: dict[str, tuple[str, Any]] = {
        "weights": ("The weights", lambda: learn_charts.weights(found)),
        "block_sizes": ("Error by block size", lambda: learn_charts.block_sizes(found)),
    }
    if int8 and nf4:
        made["int8_errors"] = ("Errors in int8", lambda: learn_charts.errors(int8, "int8", learn_charts.GREEN))
        made["nf4_errors"] = ("Errors in nf4", lambda: learn_charts.errors(nf4, "nf4", learn_charts.BLUE))
    if worst and typical:
        made["codes_used"] = ("Codes that are used", lambda: learn_charts.codes_used(worst, typical))
    if head:
        made["attention"] = ("The whole matrix", lambda: learn_charts.attention(head))
        made["blocks"] = ("In blocks", lambda: learn_charts.blocks(head))
        made["growth"] = ("Bytes by context", lambda: learn_charts.growth(head))
    return made


def _heat_height(found: Inspected) -> int:
    return max(HEAT_LEAST, HEAT_ROW * len(found.head.matrix) + HEAT_MARGIN) if found.head else HEAT_LEAST
