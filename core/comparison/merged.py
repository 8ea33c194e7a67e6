"""What the check of a merged model found, and the rule by which it passes or fails. Without torch.

A merged model is held against base + adapter as PEFT computes it, on the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from core.comparison.values import Quality, Text
from core.values import Value

# Measured on the built-in model, with an adapter of rank 16 on all linear layers: docs/merging.md has the table.
SHARE_LIMIT = 1e-4  # of the largest logit: float32 moved them by 3e-6 of it, an adapter scaled 1 % too high by 5e-3
KL_LIMIT = 5e-6  # keeping log-probabilities in 16 bit alone makes 6e-7, and 2.5e-6 at most; 1 % too high makes 2e-5
NOISE_TIMES = 10.0
FLOOR_SHARE = 0.5  # rounding weights to bfloat16 cost 0.15 of running in bfloat16, 10 % too high 1.4
TOP1_LIMIT = 0.97
KL_UNMEASURED = 0.01


class Verdict(StrEnum):
    """Whether the merged model is what base + adapter were."""

    PASSED = "PASS"
    FAILED = "FAIL"


class Distance(Value):
    """How far a model is from base + adapter, on the same tokens."""

    quality: Quality
    logit_difference: float
    """The largest absolute difference of a logit."""
    logit_most: float
    """The largest absolute logit of base + adapter, to measure that against."""

    @property
    def kl(self) -> float:
        """Mean divergence in nats a token."""
        return self.quality.kl.mean if self.quality.kl else 0.0

    @property
    def top1(self) -> float:
        """Share of tokens for which both hold the same one for the likeliest."""
        return self.quality.top1.value if self.quality.top1 else 1.0

    @property
    def share(self) -> float:
        """The largest difference of a logit over the largest logit."""
        return self.logit_difference / self.logit_most if self.logit_most else 0.0


class Pair(Value):
    """What base + adapter and the merged model answer to one prompt, always the likeliest token."""

    prompt: str
    adapter: str
    merged: str
    is_equal: bool
    why_not: str = ""


@dataclass(frozen=True)
class MergeAsked:
    """What is to be merged, and on what it is checked: the fields of the job's Spec."""

    adapter: str
    model: str
    revision: str | None
    dtype: str
    prompts: tuple[str, ...]
    max_new_tokens: int
    eval_text: str
    eval_own: str
    eval_tokens: int
    window: int
    seed: int


class MergeReport(Value):
    """What was merged, whether it is what base + adapter were, and the figures by which that was told.

    `found` is the merged model against base + adapter; `floor` is base + adapter in the merged dtype against
    themselves in float32, and `noise` the same computation twice. What was not measured is None.
    """

    text: str = ""
    verdict: Verdict | None = None
    rule: str = ""
    model: str = ""
    """What the artifact is called."""
    base: str = ""
    revision: str | None = None
    adapter: str = ""
    licence: str = ""
    dtype: str = ""
    checked_in: str = ""
    device: str = ""
    n_tensors: int = 0
    n_changed: int = 0
    n_bytes: int = 0
    found: Distance | None = None
    floor: Distance | None = None
    noise: Distance | None = None
    samples: tuple[Pair, ...] = ()
    evaluation: Text | None = None
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)


def headline(report: MergeReport) -> str:
    """The verdict in a sentence, with its figures."""
    found = report.found
    if found is None:
        return "Stopped; no merged model is left."
    is_same = report.verdict is Verdict.PASSED
    rounded = "" if report.dtype == "float32" or not is_same else " but for rounding"
    said = f"{'' if is_same else 'not '}the same as base + adapter{rounded}"
    figures = f"KL {found.kl:.6f}, {found.top1 * 100:.4g} % same top token"
    return f"Merged in {report.dtype}: {said} ({figures}, a logit moved by {found.logit_difference:.2g} at most)."


def card_lines(report: MergeReport, job_id: str) -> tuple[str, ...]:
    """What the card of a merged model says, in paragraphs."""
    equal = sum(pair.is_equal for pair in report.samples)
    revision = f", revision {report.revision}" if report.revision else ""
    said = [
        f"{report.base}{revision}, with the LoRA adapter {report.adapter} merged into it in {report.dtype}.",
        f"**{report.verdict}** {report.text} {report.rule}",
        f"{equal} of {len(report.samples)} greedy answers are equal to those of base + adapter.",
        *report.notes,
        f"The base's licence: {report.licence or 'its files name none'}. Made by the job {job_id} of LLM Workbench.",
    ]
    return tuple(line for one in said for line in (one, ""))[:-1]


def way_out(report: MergeReport) -> str:
    """What to do with an adapter whose merge failed."""
    if report.dtype != "float32":
        return "Merge in float32 (dtype float32), which rounds nothing away; or use the adapter beside its base."
    return "Use the adapter beside its base; a merge in float32 that is not the same is a bug worth reporting."


def judge(report: MergeReport) -> MergeReport:
    """The report with its verdict, the rule in a sentence, and the headline.

    Float32 loses nothing: beside ten times the noise of computing twice, no logit may move by more than 1e-4 of the
    largest, and the mean KL is 5e-6 at most. Rounded to 16 bit and computed in float32, the merged model may lose half
    of what base + adapter lose by running in those 16 bit; 97 % of the top tokens must be equal, or as many as there.
    Where float32 does not fit, both are computed in 16 bit: a mean KL of 0.01 at most and 97 %.
    """
    assert report.found
    assert report.noise
    if report.dtype == report.checked_in == "float32":
        passes, rule = _as_computed(report.found, report.noise)
    elif report.floor is None:
        passes = report.found.kl <= KL_UNMEASURED and report.found.top1 >= TOP1_LIMIT
        rule = (
            f"Float32 does not fit here: checked in {report.checked_in} it passes with a mean KL of {KL_UNMEASURED:g} "
            f"at most and {TOP1_LIMIT:.0%} of the top tokens equal."
        )
    else:
        passes, rule = _as_rounded(report.found, report.noise, report.floor, report.dtype)
    verdict = Verdict.PASSED if passes else Verdict.FAILED
    judged = report.model_copy(update={"verdict": verdict, "rule": rule})
    return judged.model_copy(update={"text": headline(judged)})


def _as_computed(found: Distance, noise: Distance) -> tuple[bool, str]:
    share, kl = max(SHARE_LIMIT, NOISE_TIMES * noise.share), max(KL_LIMIT, NOISE_TIMES * noise.kl)
    return found.share <= share and found.kl <= kl, (
        f"In float32 it passes if no logit moves by more than {share:.2g} of the largest one ({found.logit_most:.3g}; "
        f"it was {found.share:.2g}) and the mean KL is {kl:.2g} at most."
    )


def _as_rounded(found: Distance, noise: Distance, floor: Distance, dtype: str) -> tuple[bool, str]:
    kl = max(FLOOR_SHARE * floor.kl, KL_LIMIT, NOISE_TIMES * noise.kl)
    top1 = min(floor.top1, TOP1_LIMIT)
    return found.kl <= kl and found.top1 >= top1, (
        f"In {dtype} it passes with a mean KL of {kl:.2g} at most, half of what base + adapter lose by running in "
        f"{dtype} ({floor.kl:.2g}), and {top1:.1%} of the top tokens equal."
    )
