"""A comparison as one would come of a 7B model on a large card: made by hand, for the pages that show one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.comparison.judge import Goal, recommend
from core.comparison.sentences import headlines
from core.comparison.values import (
    Comparison,
    Curve,
    Decode,
    Divergence,
    Interval,
    LayerError,
    Noise,
    Output,
    Prefill,
    Quality,
    Repeated,
    Said,
    Text,
    VariantResult,
    VariantState,
)
from core.values import Trouble

MODEL = "mosaicml/mpt-7b"
CONTEXTS, BATCHES = (512, 2048, 4096), (1, 8)
PROMPTS = ("The capital of France is", "List three uses of a paper clip.")
KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")
N_LAYERS = 32
SAID = {
    "float32": "The capital of France is Paris, a city on the Seine known for its museums and its long history.",
    "bfloat16": "The capital of France is Paris, a city on the Seine known for its museums and its long history.",
    "int8": "The capital of France is Paris, a city on the river Seine known for its museums and its long history.",
    "nf4": "The capital of France is Paris, which is also the largest city of the country.",
    "nf4-dq": "The capital of France is Paris, which is also the largest town of the country.",
}
# weights, peak, load, first token, speed, perplexity, KL, equal top-1, relative error of the weights
FIGURES = {
    "float32": (26.99e9, 29.6e9, 3.4, 0.0962, 40.1, 5.472, 0.0, 1.0, 0.0),
    "bfloat16": (13.48e9, 16.1e9, 1.8, 0.0713, 41.8, 5.474, 0.0008, 0.989, 0.0),
    "int8": (7.05e9, 9.91e9, 16.2, 0.240, 7.62, 5.501, 0.0051, 0.972, 0.014),
    "nf4": (4.22e9, 7.02e9, 1.9, 0.0884, 33.0, 5.589, 0.0310, 0.928, 0.091),
    "nf4-dq": (3.91e9, 6.71e9, 2.0, 0.0921, 28.1, 5.591, 0.0312, 0.927, 0.092),
}


def around(value: float, part: float, n: int = 8) -> Interval:
    """An interval that reaches so far to both sides."""
    return Interval(value=value, low=value * (1 - part), high=value * (1 + part), n=n)


def variant(name: str, **changes: Any) -> VariantResult:
    """One that was measured; its figures are those of `changes["like"]` where it has a name of its own."""
    like = changes.pop("like", name)
    weights, peak, load, first, speed, perplexity, kl, top1, error = FIGURES[like]
    is_reference = like == "float32"
    ratio = around(speed / FIGURES["float32"][4], 0.015)
    usual: dict[str, Any] = {
        "name": name, "state": VariantState.SUCCEEDED, "model": MODEL, "revision": "ada218f", "precision": like,
        "attention": "sdpa", "compute_dtype": "bfloat16", "parameters": 6_649_286_656,
        "code": f'AutoModelForCausalLM.from_pretrained("{MODEL}", dtype="{like}")',
        "weights_bytes": Said(predicted=weights * 0.998, measured=weights),
        "load_peak_bytes": Said(predicted=weights * 1.02, measured=weights * 1.03),
        "held_bytes": Said(predicted=weights, measured=weights * 1.01),
        "peak_bytes": Said(predicted=peak * 0.99, measured=peak), "load_s": load, "tokens_per_s": speed,
        "speed_ratio": None if is_reference else ratio, "time_to_first_token_s": first,
        "roofline_tokens_per_s": 2.6e12 / weights, "perplexity": around(perplexity, 0.0073), "kl_mean": kl or None,
        "top1_agreement": None if is_reference else top1, "quality": quality(like), "prefill": prefill(like),
        "decode": decode(like), "layers": layers(error, like) if error else (), "samples": outputs(like),
        "seconds": 48.0,
    }  # fmt: skip
    return VariantResult(**usual | changes)


def quality(like: str) -> Quality:
    """How it predicts the text."""
    perplexity, kl, top1 = FIGURES[like][5:8]
    told = around(perplexity, 0.0073)
    if like == "float32":
        return Quality(n_tokens=4088, perplexity=told, bits_per_byte=0.547)
    spread = (kl * 0.6, kl * 2.1, kl * 3.4, kl * 9.0, kl * 30, kl * 80)
    names = ("median", "p90", "p95", "p99", "p999", "most")
    divergence = Divergence(mean=kl, low=kl * 0.94, high=kl * 1.06, **dict(zip(names, spread, strict=True)))
    return Quality(
        n_tokens=4088,
        perplexity=told,
        bits_per_byte=0.547 * perplexity / 5.472,
        perplexity_ratio=around(perplexity / 5.472, 0.0009),
        kl=divergence,
        probability_change=-kl / 9,
        probability_change_rms=kl,
        top1=Interval(value=top1, low=top1 - 0.004, high=top1 + 0.004, n=4088),
    )


def prefill(like: str) -> tuple[Prefill, ...]:
    """Reading prompts of each length."""
    weights, first = FIGURES[like][0], FIGURES[like][3]
    return tuple(
        Prefill(
            context=n,
            peak_bytes=Said(predicted=weights + 5.9e5 * n, measured=weights + 6.1e5 * n),
            time_to_first_token_s=Repeated(value=first * n / 512, spread=first * 0.02, n=5),
            ratio=None if like == "float32" else around(first / FIGURES["float32"][3], 0.02),
        )
        for n in CONTEXTS
    )


def decode(like: str) -> tuple[Decode, ...]:
    """Making tokens at each batch."""
    speed = FIGURES[like][4]
    return tuple(
        Decode(
            batch=n,
            peak_bytes=Said(predicted=FIGURES[like][0] + 1e9 * n, measured=FIGURES[like][0] + 1.05e9 * n),
            tokens_per_s=Repeated(value=speed * n**0.85, spread=speed * 0.01, n=5),
            ratio=None if like == "float32" else around(speed / 40.1, 0.015),
        )
        for n in BATCHES
    )


def layers(error: float, like: str) -> tuple[LayerError, ...]:
    """What quantizing did to each module, and to one that stands outside of the blocks."""
    inside = [
        LayerError(
            layer=n, module=kind, rows=4096, columns=4096, relative=error * (0.8 + 0.05 * m + 0.006 * (n % 9)),
            most=error * 3, cosine=1 - error**2 / 2, outlier_columns=(n + m) % 12 if like == "int8" else None,
        )
        for n in range(N_LAYERS)
        for m, kind in enumerate(KINDS)
    ]  # fmt: skip
    return (
        *inside,
        LayerError(layer=None, module="lm_head", rows=50432, columns=4096, relative=error, most=1, cosine=1),
    )


def outputs(like: str) -> tuple[Output, ...]:
    """What it answered."""
    uses = "1. Hold papers.\n2. Press a reset button.\n3. Make a hook."
    return (
        Output(prompt=PROMPTS[0], greedy=SAID[like], sampled=SAID[like].replace("Paris", "Paris indeed")),
        Output(prompt=PROMPTS[1], greedy=uses, sampled=uses if "nf4" not in like else uses.replace("hook", "ring")),
    )


def failed(name: str, message: str = "The device ran out of memory: 26.6 GB asked, 14.9 GB free.") -> VariantResult:
    """One that could not be measured."""
    trouble = Trouble(code="out_of_memory", message=message, hint="A shorter prompt needs less.")
    return VariantResult(name=name, state=VariantState.FAILED, trouble=trouble, precision=name)


def skipped(name: str, reason: str) -> VariantResult:
    """One that cannot run here."""
    return VariantResult(name=name, state=VariantState.SKIPPED, reason=reason, precision=name)


def comparison(variants: Sequence[VariantResult] | None = None, **changes: Any) -> Comparison:
    """The whole, with what follows from it."""
    usual: dict[str, Any] = {
        "reference": "float32",
        "variants": tuple(variants if variants is not None else (variant(name) for name in FIGURES)),
        "noise": Noise(
            kl_mean=1e-6, kl_p99=9e-6, perplexity_ratio=around(1.0, 0.00002),
            top1=Interval(value=0.9995, low=0.998, high=0.9999, n=4088), batch=4,
        ),
        "evaluation": Text(
            name="editorials", sha256="3f7a" * 16, n_bytes=612_442, n_tokens=129_184, window=512, stride=512,
            n_windows=8, n_scored=4088, scored_bytes=19_120, log_probabilities_bytes=412_308_992,
        ),
        "curves": tuple(
            Curve(attention=name, points=tuple(
                Prefill(context=n, peak_bytes=Said(predicted=27e9 + each(n) * 0.96, measured=27e9 + each(n)))
                for n in CONTEXTS
            ))
            for name, each in (("eager", _square), ("sdpa", _straight))
        ),
        "device": "NVIDIA H100 80GB HBM3", "memory_kind": "gpu", "usable_bytes": 79_200_000_000,
        "copy_bytes_per_s": 2.6e12, "speed_order": "interleaved: each round took every variant once, in another order",
        "versions": {"torch": "2.13.0", "transformers": "5.23.0"},
        "notes": ("Copies were measured once, before the first variant.",),
    }  # fmt: skip
    made = Comparison(**usual | changes)
    said = headlines(made)
    has_quality = any(one.kl_mean is not None for one in made.variants)
    advice = recommend(made, made.usable_bytes, None, Goal.QUALITY) if has_quality else None
    return made.model_copy(update={"text": " ".join(said), "recommendation": advice})


def _square(n: int) -> float:
    return 400.0 * n * n


def _straight(n: int) -> float:
    return 5e5 * n
