"""What a comparison found out, as it is kept in its job's result, in its report and shown everywhere.

A figure that was not taken is None, never 0; why it was not stands beside it.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from core.values import Trouble, Value


class VariantState(StrEnum):
    """How far a variant is. The first two stand only in a result that is still being made."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more comes of it."""
        return self not in (VariantState.QUEUED, VariantState.RUNNING)


class Interval(Value):
    """A value with the ends of its 95 % interval, over `n` independent pieces."""

    value: float
    low: float
    high: float
    n: int


class Repeated(Value):
    """The mean of `n` repeats and their standard deviation (0 where n is 1), with the repeats themselves."""

    value: float
    spread: float
    n: int
    values: tuple[float, ...] = ()


class Said(Value):
    """What was predicted beside what was measured, in bytes."""

    predicted: float | None = None
    measured: float | None = None


class Prefill(Value):
    """Reading a prompt of `context` tokens at once. `why_not`: why it was not measured."""

    context: int
    peak_bytes: Said
    time_to_first_token_s: Repeated | None = None
    ratio: Interval | None = None
    """Its time over the reference's, paired by round; above 1 is slower."""
    why_not: str = ""


class Decode(Value):
    """Making tokens for `batch` rows at once. `tokens_per_s` counts all rows."""

    batch: int
    peak_bytes: Said
    tokens_per_s: Repeated | None = None
    ratio: Interval | None = None
    """Its speed over the reference's, paired by round; above 1 is faster."""
    why_not: str = ""


class Divergence(Value):
    """Kullback-Leibler divergence from the reference in nats a token: KL(reference || variant)."""

    mean: float
    low: float
    high: float
    median: float
    p90: float
    p95: float
    p99: float
    p999: float
    most: float


class Quality(Value):
    """How a variant predicts the evaluation text, teacher forced, beside the reference on the same tokens.

    All but perplexity and bits need the reference: they are None for what was scored without one.
    """

    n_tokens: int
    perplexity: Interval
    bits_per_byte: float
    perplexity_ratio: Interval | None = None
    """Perplexity over the reference's, paired by token: tighter than two perplexities side by side."""
    kl: Divergence | None = None
    probability_change: float | None = None
    """Mean change of the true token's probability; below 0 the variant gives it less."""
    probability_change_rms: float | None = None
    top1: Interval | None = None
    """Share of tokens for which both hold the same one for the likeliest (Wilson)."""


class LayerError(Value):
    """What quantizing did to one module's weights, W against Q(W)."""

    layer: int | None
    """Number of the block; None outside of all blocks."""
    module: str
    """Kind of module: `q_proj`, `down_proj`."""
    rows: int
    columns: int
    relative: float
    """Frobenius norm of the error over that of the weights."""
    most: float
    """Largest absolute error."""
    cosine: float
    outlier_columns: int | None = None
    """int8 alone: input columns that exceeded the threshold on the evaluation text and were multiplied in 16 bit."""


class Output(Value):
    """What one variant answers to one prompt: always the likeliest token, and sampled with the spec's seed."""

    prompt: str
    greedy: str
    sampled: str
    why_not: str = ""


class VariantResult(Value):
    """All that is known of one variant."""

    name: str
    state: VariantState
    reason: str = ""
    """Why it was skipped, or what of it could not be measured."""
    trouble: Trouble | None = None
    model: str = ""
    revision: str | None = None
    adapter: str | None = None
    precision: str = ""
    attention: str = ""
    compute_dtype: str = ""
    code: str = ""
    """The `from_pretrained` call that loads it."""
    parameters: int | None = None
    weights_bytes: Said = Said()
    load_peak_bytes: Said = Said()
    held_bytes: Said = Said()
    peak_bytes: Said = Said()
    """The largest of all its peaks: load, prefill at each context, decode at each batch."""
    load_s: float | None = None
    tokens_per_s: float | None = None
    """At the smallest batch."""
    speed_ratio: Interval | None = None
    """Of that speed over the reference's."""
    time_to_first_token_s: float | None = None
    """At the shortest context."""
    roofline_tokens_per_s: float | None = None
    """The copy bandwidth, as measured, over the bytes that a token reads: a batch of one cannot be faster."""
    perplexity: Interval | None = None
    kl_mean: float | None = None
    top1_agreement: float | None = None
    quality: Quality | None = None
    quality_why_not: str = ""
    quality_s: float | None = None
    """Seconds that scoring the text took; of the reference twice, for the noise floor."""
    prefill: tuple[Prefill, ...] = ()
    decode: tuple[Decode, ...] = ()
    layers: tuple[LayerError, ...] = ()
    samples: tuple[Output, ...] = ()
    seconds: float = 0.0
    """What measuring it took, its process and all."""


class Curve(Value):
    """Peak memory of reading a prompt at once, by its length, with one attention implementation of the reference."""

    attention: str
    points: tuple[Prefill, ...]


class Noise(Value):
    """The reference against itself at another batch size: below this nothing is called a difference."""

    kl_mean: float
    kl_p99: float
    perplexity_ratio: Interval
    top1: Interval
    batch: int


class Text(Value):
    """What was scored, exactly enough to score it again."""

    name: str
    sha256: str
    n_bytes: int
    n_tokens: int
    """Of the whole text, by the model's tokenizer."""
    window: int
    stride: int
    n_windows: int
    n_scored: int
    """The first token of each window is not scored."""
    scored_bytes: int
    log_probabilities_bytes: int = 0
    """What the reference's log-probabilities took on disk while the job ran."""


class Recommendation(Value):
    """Which variant to take on the card that ran it, and by how much it fits."""

    variant: str
    margin_bytes: int
    """What is left of the card's usable memory at the peak."""
    sentence: str
    rule: str


class Comparison(Value):
    """A whole comparison. While the job runs, what is known by then."""

    text: str = ""
    """The headline."""
    reference: str = ""
    recommendation: Recommendation | None = None
    variants: tuple[VariantResult, ...] = ()
    noise: Noise | None = None
    evaluation: Text | None = None
    curves: tuple[Curve, ...] = ()
    device: str = ""
    memory_kind: str = ""
    usable_bytes: int = 0
    copy_bytes_per_s: float | None = None
    speed_order: str = ""
    """How the second pass was ordered, in words: interleaved, or in turn and why."""
    versions: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
