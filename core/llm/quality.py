"""How well a model predicts a text, and how far it is from a reference that read the same tokens.

`score` computes with the model; what its figures amount to, `quality_of` and `noise_of` say without one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.comparison.values import Divergence, Interval, Noise, Quality
from core.errors import BadInput, NotANumber
from core.llm.log_probabilities import FLOOR, Keeper, Kept
from core.llm.scores import Scores
from core.llm.statistics import Floats, mean_intervals, wilson
from core.llm.windows import Windows

ENTRIES_AT_ONCE = 2_000_000  # of tokens × vocabulary; 16 MB in float64, and five such at a time

Told = Callable[[int, int], None]
"""Hears how many windows are scored, and how many there are."""


@torch.inference_mode()
def score(
    model: PreTrainedModel,
    windows: Windows,
    *,
    batch: int = 1,
    keep: Path | None = None,
    against: Path | None = None,
    tell: Told = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Scores | None:
    """How a model predicts each token of the windows, each read from its start; None where it was asked to stop.

    Args:
        batch: windows that are read together.
        keep: a file that the log-probabilities are written to, `bytes_needed` long.
        against: such a file of the reference, for the divergence from it.

    Raises:
        NotANumber: the model computes NaN or infinity; with the token at which it first does.
        DiskFull: there is no room for what is to be kept.
        BadInput: `against` is of other windows or of another vocabulary.
    """
    reference = Kept(against, windows) if against else None
    nll_W: list[Tensor] = []
    top1_W: list[Tensor] = []
    kl_W: list[Tensor] = []
    with Keeper(keep, windows) if keep else nullcontext() as keeper:
        for first in range(0, windows.n_windows, batch):
            if should_stop():
                return None
            ids_B_T = windows.ids_W_T[first : first + batch].to(model.device)
            logits_B_T_V = model(input_ids=ids_B_T, use_cache=False).logits
            for window, (logits_T_V, ids_T) in enumerate(zip(logits_B_T_V, ids_B_T, strict=True), first):
                nll_T, top1_T, kl_T = _score_window(logits_T_V[:-1], ids_T[1:], window, keeper, reference)
                nll_W.append(nll_T)
                top1_W.append(top1_T)
                kl_W += [kl_T] if reference else []
            tell(len(nll_W), windows.n_windows)
    return Scores(
        tokens_sha256=windows.tokens_sha256,
        nll_W_T=torch.stack(nll_W).numpy(),
        top1_W_T=torch.stack(top1_W).numpy(),
        kl_W_T=torch.stack(kl_W).numpy() if reference else None,
    )


def quality_of(scores: Scores, windows: Windows, reference: Scores | None, seed: int = 0) -> Quality:
    """What the figures of single tokens amount to; without a reference perplexity and bits alone.

    Raises:
        BadInput: the reference read other tokens.
    """
    bits = float(scores.nll_W_T.sum()) / (math.log(2) * windows.scored_bytes)
    if reference is None:
        (nll,) = mean_intervals(scores.nll_W_T[..., None], seed)
        return Quality(n_tokens=scores.nll_W_T.size, perplexity=_exp(nll), bits_per_byte=bits)
    nll, *of_pair = _intervals(scores, reference, seed)
    changes_W_T = scores.probability_W_T - reference.probability_W_T
    return Quality(
        n_tokens=scores.nll_W_T.size,
        perplexity=_exp(nll),
        bits_per_byte=bits,
        perplexity_ratio=_exp(of_pair[0]),
        kl=None if scores.kl_W_T is None else _divergence(scores.kl_W_T, of_pair[1]),
        probability_change=float(changes_W_T.mean()),
        probability_change_rms=float(np.sqrt((changes_W_T**2).mean())),
        top1=_top1(scores, reference),
    )


def noise_of(reference: Scores, again: Scores, batch: int, seed: int = 0) -> Noise:
    """How far a reference is from itself, scored `batch` windows at once against what it kept."""
    assert again.kl_W_T is not None, "the second time is scored against the first"
    _, ratio, kl = _intervals(again, reference, seed)
    return Noise(
        kl_mean=kl.value,
        kl_p99=float(np.percentile(again.kl_W_T, 99)),
        perplexity_ratio=_exp(ratio),
        top1=_top1(again, reference),
        batch=batch,
    )


def _score_window(
    logits_T_V: Tensor, ids_T: Tensor, window: int, keeper: Keeper | None, reference: Kept | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Negative log-likelihood, likeliest token and divergence of each token, a few at a time, on the processor."""
    n_vocabulary = logits_T_V.shape[-1]
    at_once = max(1, ENTRIES_AT_ONCE // n_vocabulary)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for first in range(0, len(ids_T), at_once):
        # in float64, for the sums over a vocabulary; the logits are what the model computed them in
        log_q_C_V = logits_T_V[first : first + at_once].double().log_softmax(-1)
        nll_C = -log_q_C_V.gather(-1, ids_T[first : first + at_once, None]).squeeze(-1)
        _check(nll_C, window, first)
        kl_C = torch.zeros_like(nll_C)
        if reference:
            kl_C = _divergences(reference.of(window, first, n_vocabulary, len(nll_C)).to(nll_C.device), log_q_C_V)
        if keeper:
            keeper.append(log_q_C_V)
        parts.append((nll_C.cpu(), log_q_C_V.argmax(-1).cpu(), kl_C.cpu()))
    nll, top1, kl = (torch.cat(column) for column in zip(*parts, strict=True))
    return nll, top1, kl


def _divergences(log_p_C_V: Tensor, log_q_C_V: Tensor) -> Tensor:
    """KL(p || q) of each row in nats. Both sum to 1; what rounding leaves below 0 is 0."""
    # a model that forbids tokens gives them minus infinity, and 0 times infinity is not a number
    difference_C_V = log_p_C_V.clamp(min=FLOOR) - log_q_C_V.clamp(min=FLOOR)
    return (log_p_C_V.exp() * difference_C_V).sum(-1).clamp(min=0)


def _check(nll_C: Tensor, window: int, first: int) -> None:
    is_bad_C = ~nll_C.isfinite()
    if is_bad_C.any():
        token = first + int(is_bad_C.int().argmax()) + 2  # counted from 1, and the first is not scored
        raise NotANumber(
            f"The model computes NaN or infinity instead of a probability, first at token {token:,} of window "
            f"{window + 1:,}.",
            "Often float16 is too narrow for its numbers: take bfloat16 or float32.",
        )


def _intervals(scores: Scores, reference: Scores, seed: int) -> list[Interval]:
    """Of the negative log-likelihood, of its difference to the reference's, and of the divergence if there is one."""
    if scores.tokens_sha256 != reference.tokens_sha256:
        raise BadInput("The reference read other tokens than this variant, so that they cannot be compared by token.")
    figures: list[Any] = [scores.nll_W_T, scores.nll_W_T - reference.nll_W_T]
    figures += [] if scores.kl_W_T is None else [scores.kl_W_T]
    return mean_intervals(np.stack(figures, axis=-1), seed)


def _divergence(kl_W_T: Floats, mean: Interval) -> Divergence:
    median, p90, p95, p99, p999 = (float(one) for one in np.percentile(kl_W_T, (50, 90, 95, 99, 99.9)))
    return Divergence(
        mean=mean.value, low=mean.low, high=mean.high, median=median,
        p90=p90, p95=p95, p99=p99, p999=p999, most=float(kl_W_T.max()),
    )  # fmt: skip


def _top1(scores: Scores, reference: Scores) -> Interval:
    return wilson(int((scores.top1_W_T == reference.top1_W_T).sum()), scores.top1_W_T.size)


def _exp(interval: Interval) -> Interval:
    """A mean of logarithms as the geometric mean."""
    ends = (math.exp(one) for one in (interval.value, interval.low, interval.high))
    value, low, high = ends
    return Interval(value=value, low=low, high=high, n=interval.n)
