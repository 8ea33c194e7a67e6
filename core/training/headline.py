"""What a training amounts to, in a sentence."""

from __future__ import annotations

from core.training.values import TrainResult


def headline(now: TrainResult) -> str:
    """With the figures that were measured; "" where nothing was."""
    if now.perplexity_before and now.perplexity:
        learned = f"Perplexity of held-out rows {now.perplexity_before:.1f} → {now.perplexity:.1f}"
    elif now.loss_first is not None and now.loss_last is not None:
        learned = f"Loss {now.loss_first:.2f} → {now.loss_last:.2f}"
    else:
        return ""
    share = f"{now.n_trained / 1e6:.3g} M of {now.n_parameters / 1e6:.4g} M weights"
    return f"{learned} in {now.step:,} steps of {now.method} ({share})."
