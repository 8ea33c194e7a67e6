"""What is kept of a training run, beside its curves."""

from __future__ import annotations

from core.data.preview import Piece
from core.values import Value


class DataFacts(Value):
    """Which data a run learned from. Counts are rows; tokens are those that are trained on, once through."""

    name: str
    format: str
    fingerprint: str
    licence: str = ""
    n_train: int
    n_eval: int
    n_bad: int = 0
    n_duplicates: int = 0
    n_cut: int = 0
    n_masked: int = 0
    """Rows that `max_length` left nothing to learn of: they are not used."""
    n_tokens: int = 0


class Preflight(Value):
    """Two real steps on the longest rows, before the run."""

    step_s: float
    peak_bytes: int
    predicted_bytes: int = 0
    tokens_per_s: float
    expected_s: float


class Try(Value):
    """What a prompt was answered after so many steps."""

    step: int
    prompt: str
    completion: str
    has_ended: bool
    """By itself, with an end-of-text token."""


class Judged(Value):
    """A held-out row by its loss a token under the trained model."""

    which: str
    text: str
    loss: float


class TrainResult(Value):
    """What every training job says of itself. `perplexity` is that of held-out rows, over all their tokens."""

    text: str = ""
    """The headline."""
    method: str = ""
    base: str = ""
    base_dtype: str = ""
    trained_dtype: str = ""
    n_trained: int = 0
    n_parameters: int = 0
    targets: tuple[str, ...] = ()
    mixed_precision: str = ""
    has_checkpointing: bool = False
    is_fused: bool = False
    data: DataFacts | None = None
    first_row: tuple[Piece, ...] = ()
    """The first row of the first batch exactly as it is fed."""
    preflight: Preflight | None = None
    step: int = 0
    total_steps: int = 0
    epoch: float = 0.0
    loss_first: float | None = None
    loss_last: float | None = None
    eval_loss_before: float | None = None
    eval_loss: float | None = None
    perplexity_before: float | None = None
    perplexity: float | None = None
    best_step: int | None = None
    tokens: int = 0
    seconds: float = 0.0
    """Of training alone, over all attempts."""
    tokens_per_s: float = 0.0
    checkpoint_bytes: int = 0
    ended_share: float | None = None
    """Of the last answers: how many ended by themselves."""
    tries: tuple[Try, ...] = ()
    judged: tuple[Judged, ...] = ()
    resumed_at: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
