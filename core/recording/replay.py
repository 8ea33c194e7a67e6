"""A recorded job at a moment of its life, from facts that have times.

What a job said of itself on the way is not kept, only what it said at its end and when things happened. So a part of a
result is shown from the moment at which it was known at the latest, and never sooner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from core.pipeline.report import report
from core.pipeline.steps import Step
from core.pipeline.values import PipelineReport, StepReport, StepState
from core.recording.values import Recording, begun
from core.states import State
from core.values import Event, Job, Metric, Progress

MOST_MOMENTS = 160
AT_ONCE = (
    "method", "base", "base_dtype", "trained_dtype", "n_trained", "n_parameters", "targets", "mixed_precision",
    "has_checkpointing", "is_fused", "data", "first_row", "preflight", "total_steps", "algorithm", "rewards", "task",
)  # fmt: skip
"""Of a training's result: known once it learns."""
BY_STEP = ("tries", "alarms")
SECOND_PASS: Mapping[str, Any] = {
    "tokens_per_s": None, "speed_ratio": None, "time_to_first_token_s": None, "roofline_tokens_per_s": None,
}  # fmt: skip
"""Of a variant: speeds, which are taken after all variants were measured alone."""
MOVES = {
    "queued": State.QUEUED, "began": State.RUNNING, "claimed": State.RUNNING, "held": State.HELD, "lost": State.QUEUED,
    "given_back": State.QUEUED, "resumed": State.QUEUED,
}  # fmt: skip


class Replay:
    """One job of a recording, at any moment. Times are seconds from its beginning."""

    def __init__(self, recording: Recording, step: str = "") -> None:
        found = recording.step(step)
        assert found is not None, "whoever asks has looked whether it is there"
        self._recording, self.recorded = recording, found
        self.job = found.job
        self._origin = begun(self.job)
        self._steps = [one for one in found.metrics if one.sort == "train"]

    def since(self, at: float) -> float:
        """Seconds from the beginning to a moment, within the replay."""
        return round(min(max(at - self._origin, 0.0), self.seconds), 3)

    @property
    def seconds(self) -> float:
        """How long the replay is."""
        return max((self.job.finished_at or self._origin) - self._origin, 0.0)

    def moments(self) -> list[float]:
        """When something of it changes, from 0 to its end: at most about MOST_MOMENTS."""
        often = [self.since(one.at) for one in self.recorded.metrics]
        seldom = [self.since(at) for at in (*(one.at for one in self.recorded.events), *self._turns())]
        n = max(1, -(-len(often) // MOST_MOMENTS))
        return sorted({0.0, *seldom, *often[::n], *often[-1:], self.seconds})

    def at(self, seconds: float) -> Job:
        """The job as it was then; from its end on as it was recorded."""
        if seconds >= self.seconds:
            return self.job
        now = self._origin + seconds
        state, attempt = self._state(now)
        blank = {"state": state, "attempt": attempt, "result": None, "error": None, "measurements": (), "samples": ()}
        further = {"artifacts": self._artifacts(now), "finished_at": None, "progress": None}
        return self.job.model_copy(update=blank | further | self._under_way(now))

    def events(self, seconds: float) -> tuple[Event, ...]:
        """What had happened by then."""
        return tuple(one for one in self.recorded.events if self.since(one.at) <= seconds)

    def evaluations(self, seconds: float) -> tuple[Metric, ...]:
        """The evaluations by then."""
        return tuple(one for one in self.recorded.metrics if one.sort == "eval" and self.since(one.at) <= seconds)

    def _state(self, now: float) -> tuple[State, int]:
        state, attempt = State.QUEUED, 0
        for event in self.recorded.events:
            if event.at <= now and event.kind in MOVES:
                state, attempt = MOVES[event.kind], max(attempt, event.attempt)
        is_begun = self.job.started_at is not None and self.job.started_at <= now
        return (State.RUNNING, 1) if is_begun and not attempt and state is State.QUEUED else (state, attempt)

    def _artifacts(self, now: float) -> tuple[Any, ...]:
        told = {one.data.get("id") for one in self.recorded.events if one.kind == "artifact" and one.at <= now}
        return tuple(one for one in self.job.artifacts if one.id in told)

    def _turns(self) -> Iterator[float]:
        """Moments that no event of its own marks."""
        if self.job.kind == "compare":
            yield from self._ends_of_variants()
        for one in self._recording.jobs[1:] if self._is_whole else ():
            yield from (at for at in (one.job.created_at, one.job.started_at, one.job.finished_at) if at)

    @property
    def _is_whole(self) -> bool:
        return self.recorded is self._recording.jobs[0] and len(self._recording.jobs) > 1

    def _under_way(self, now: float) -> dict[str, Any]:
        if self._is_whole:
            return self._pipeline(now)
        if self.job.kind == "compare":
            return self._comparison(now)
        return self._training(now) if self._steps else {}

    def _training(self, now: float) -> dict[str, Any]:
        whole = self.job.result or {}
        done = [one for one in self._steps if one.at <= now]
        is_known = any(one.kind == "preflight" and one.at <= now for one in self.recorded.events) or bool(done)
        if not is_known:
            return {}
        step, total = done[-1].step if done else 0, int(whole.get("total_steps") or 0)
        told = {name: whole[name] for name in AT_ONCE if name in whole}
        for name in BY_STEP:
            told[name] = [one for one in whole.get(name) or () if self._is_known(int(one["step"]), now)]
        took = done[-1].values.get("seconds", 0.0) if done else 0.0
        progress = Progress(current=step, total=total or None, message=f"step {step:,} of {total:,}" if total else "")
        return {"result": told | {"step": step, "seconds": took}, "progress": progress}

    def _is_known(self, step: int, now: float) -> bool:
        """Whether what was said of a step had been said by then: after its evaluation, where it had one."""
        told = [one.at for one in self.recorded.metrics if one.step == step]
        first = min((one.at for one in self._steps), default=now)
        return max(told, default=first if step == 0 else self._origin + self.seconds) <= now

    def _ends_of_variants(self) -> list[float]:
        """When each variant had been measured alone: one after the other, from how long each took."""
        variants = (self.job.result or {}).get("variants") or ()
        order = sorted(variants, key=lambda one: one["name"] != (self.job.result or {}).get("reference"))
        ends = accumulate((float(one.get("seconds") or 0.0) for one in order), initial=self._origin)
        by_name = dict(zip((one["name"] for one in order), list(ends)[1:], strict=True))
        return [by_name[one["name"]] for one in variants]

    def _comparison(self, now: float) -> dict[str, Any]:
        whole = self.job.result or {}
        if not whole.get("variants") or self._state(now)[0] is not State.RUNNING:
            return {}
        ends = self._ends_of_variants()
        runs = min((end for end in ends if end > now), default=None)
        shown = [_variant(one, end, now, runs) for one, end in zip(whole["variants"], ends, strict=True)]
        n_done = sum(end <= now for end in ends)
        at = next((one["name"] for one, end in zip(shown, ends, strict=True) if end == runs), "")
        message = f"{at}: measured alone" if at else "speeds, in turns"
        told = {name: whole[name] for name in ("reference", "device", "memory_kind", "usable_bytes") if name in whole}
        progress = Progress(current=n_done, total=len(ends) + 1, message=message)
        return {"result": {**told, "variants": shown}, "progress": progress}

    def _pipeline(self, now: float) -> dict[str, Any]:
        if self._state(now)[0] not in (State.RUNNING, State.HELD):
            return {}
        steps = [Step.model_validate(one) for one in self.job.spec.get("steps") or ()]
        rounds = {str(one.get("name")): one for one in (self.job.result or {}).get("steps") or ()}
        blank = PipelineReport(steps=tuple(_waiting(step, rounds.get(step.name, {})) for step in steps))
        jobs = {one.job.step or "": Replay(self._recording, one.job.step or "") for one in self._recording.jobs[1:]}
        by_now = {name: one._as_step(now) for name, one in jobs.items() if one.job.created_at <= now}
        found = report(steps, blank, by_now)
        runs = [step.name for step in found.steps if step.state is StepState.RUNNING]
        n_done = sum(step.state is StepState.SUCCEEDED for step in found.steps)
        message = f"{' and '.join(runs)} run{'s' if len(runs) == 1 else ''}" if runs else "the next step begins"
        return {
            "result": found.model_dump(mode="json"),
            "progress": Progress(current=n_done, total=len(steps), message=message),
        }

    def _as_step(self, now: float) -> Job:
        """How its pipeline saw it at a moment."""
        if now < (self.job.started_at or now):
            return self.job.model_copy(update={**_BLANK, "state": State.QUEUED, "started_at": None})
        found = self.at(now - self._origin)
        return found if found.state.is_finished else found.model_copy(update={"result": None})


_BLANK: Mapping[str, Any] = {"result": None, "error": None, "artifacts": (), "finished_at": None, "progress": None}


def _waiting(step: Step, whole: Mapping[str, Any]) -> StepReport:
    is_reused = bool(whole.get("is_reused"))
    return StepReport(name=step.name, kind=step.kind, needs=step.needs, is_reused=is_reused)


def _variant(one: Mapping[str, Any], end: float, now: float, runs: float | None) -> dict[str, Any]:
    """A variant by now: measured alone without its speeds, under way, or waiting."""
    if end > now:
        state = one["state"] if one["state"] == "skipped" else "running" if end == runs else "queued"
        return {"name": one["name"], "state": state} | ({"reason": one["reason"]} if state == "skipped" else {})
    timed = {"prefill": ("time_to_first_token_s", "ratio"), "decode": ("tokens_per_s", "ratio")}
    without = {
        name: [{key: value for key, value in each.items() if key not in speeds} for each in one.get(name) or ()]
        for name, speeds in timed.items()
    }
    return {**one, **SECOND_PASS, **without}
