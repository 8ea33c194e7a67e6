"""The pictures of “What quantization does”, each from what an `inspect` job found."""

from __future__ import annotations

from core.comparison.inspected import Head, Histogram, Inspected, Neighbours
from web.charts import Axis, Chart, Curve, curves, heat, steps
from web.format import significant

BLUE, ORANGE, GREEN = 0, 2, 3
THOUSAND = 1024


def weights(found: Inspected) -> Chart:
    """How the weights are spread."""
    assert found.weights
    said = f"Histogram of {found.rows * found.columns:,} weights; standard deviation {significant(found.deviation)}."
    return _histogram("weights", found.weights, BLUE, "weight", said)


def errors(found: Histogram, name: str, tone: int) -> Chart:
    """How what was lost is spread."""
    said = (
        f"Histogram of the error of each weight in {name}, from {significant(found.low)} to {significant(found.high)}."
    )
    return _histogram(name, found, tone, "weight less what it decodes to", said)


def block_sizes(found: Inspected) -> Chart:
    """The error by the weights that share a scale."""
    nf4 = [(float(one.size), 100 * one.nf4) for one in found.block_sizes]
    fp4 = [(float(one.size), 100 * one.fp4) for one in found.block_sizes]
    said = f"The relative error grows from {nf4[0][1]:.3g} % with blocks of {found.block_sizes[0].size} weights to "
    said += f"{nf4[-1][1]:.3g} % with blocks of {found.block_sizes[-1].size:,} in nf4."
    return curves(
        [Curve("nf4", nf4, BLUE), Curve("fp4", fp4, ORANGE, is_dashed=True)],
        Axis("Weights that share a scale", scale="log", is_from_zero=False),
        Axis("Relative error", "%"),
        said,
    )


def codes_used(worst: Neighbours, typical: Neighbours) -> Chart:
    """How often each of the sixteen codes is used, with an outlier in the block and without."""
    shared = [
        Curve(name, [(float(code), 100 * n / max(sum(one.counts), 1)) for code, n in enumerate(one.counts)], tone,
              is_filled=True, is_stepped=True)
        for name, one, tone in (("typical block", typical, BLUE), ("block with the worst outlier", worst, ORANGE))
    ]  # fmt: skip
    said = (
        f"A typical block uses {typical.codes_used} of the 16 codes, the one with the worst outlier {worst.codes_used}."
    )
    return curves(shared, Axis("Code"), Axis("Share of the block's weights", "%"), said, ends=(0, 15))


def attention(head: Head) -> Chart:
    """The whole matrix of one head."""
    labels = [f"{n * _each(head) + 1} {token}" for n, token in enumerate(head.tokens)]
    values = [[*row, *([None] * (len(head.matrix) - len(row)))] for row in head.matrix]
    said = f"Attention of head {head.head} in block {head.block}: a row for each token, with the tokens it looks at."
    return heat(labels, labels, values, Axis("looks at"), Axis("Attention"), said, most=1.0)


def blocks(head: Head) -> Chart:
    """The same matrix as flash attention goes through it; what it skips stays empty."""
    n, size = len(head.in_blocks), head.block_size
    labels = [f"{at * size + 1} to {min((at + 1) * size, head.n_tokens)}" for at in range(n)]
    values = [[*row, *([None] * (n - len(row)))] for row in head.in_blocks]
    said = f"The same in blocks of {size} × {size}: the largest attention in each. Blocks of the future are skipped."
    return heat(labels, labels, values, Axis("tokens"), Axis("Largest attention"), said, most=1.0)


def growth(head: Head) -> Chart:
    """The bytes of both ways, by context."""
    plain = [(one.context / THOUSAND, one.plain / 1e6) for one in head.growth]
    blocks = [(one.context / THOUSAND, one.blocks / 1e6) for one in head.growth]
    last = head.growth[-1]
    said = f"At {last.context:,} tokens the matrices of one layer take {last.plain / 1e9:,.0f} GB, "
    said += f"flash attention keeps {last.blocks / 1e6:.3g} MB."
    return curves(
        [Curve("whole matrix", plain, ORANGE), Curve("in blocks", blocks, BLUE)],
        Axis("Context", "× 1,024 tokens", scale="log", is_from_zero=False),
        Axis("Scores of one layer", "MB", scale="log"),
        said,
    )


def _each(head: Head) -> int:
    return -(-head.n_tokens // max(len(head.tokens), 1))


def _histogram(name: str, found: Histogram, tone: int, along: str, said: str) -> Chart:
    width, total = (found.high - found.low) / len(found.counts), sum(found.counts) + found.n_beyond
    points = [
        (float(f"{found.low + (n + 0.5) * width:.3g}"), round(100 * count / total, 4))
        for n, count in enumerate(found.counts)
    ]
    _, edge = steps(found.high)
    drawn = Curve(name, points, tone, is_filled=True, is_stepped=True)
    return curves([drawn], Axis(along, is_from_zero=False), Axis("Share of all", "%"), said, ends=(-edge, edge))
