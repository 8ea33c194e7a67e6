"""What reinforcement learning amounts to, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from core.training.rlhf_values import RlhfResult

MINUS = "\u2212"


def rlhf_headline(now: RlhfResult) -> str:
    """With the figures that were measured; "" where nothing was."""
    said = ", ".join(_parts(now))
    if not said:
        return ""
    ended = f"stopped at step {now.step:,} by the guard of {now.stopped_by}" if now.stopped_by else ""
    end = ended or f"in {now.step:,} steps of {now.algorithm.upper()}"
    return f"{said[0].upper()}{said[1:]}, {end}."


def _parts(now: RlhfResult) -> Iterator[str]:
    before, after = now.before, now.after
    if before and after:
        if before.positive and after.positive:
            yield f"positive answers {before.positive.value:.0%} → {after.positive.value:.0%}".replace("%", " %")
        yield f"reward {before.reward:.2f} → {after.reward:.2f}"
    if now.kl is not None:
        yield f"KL {now.kl:.2f}"
    if before and after and before.words:
        change = 100 * (after.words / before.words - 1)
        yield f"distinct words {MINUS if change < 0 else '+'}{abs(change):.0f} %"
