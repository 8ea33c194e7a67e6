"""Moves pipelines on: submits what can begin, takes over what was done before, and holds where a step went wrong.

Anybody may do so at any time, any number at once: `Store.move_pipeline` writes only what follows from what was seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.access import Who
from core.errors import BadInput, IllegalMove, NotFound, SetupError, WorkbenchError
from core.jobs import Kinds
from core.jobs.pipeline import PipelineResult, PipelineSpec
from core.pipeline.references import PLACEHOLDER, replaced
from core.pipeline.report import handed_on, report, taken_over
from core.pipeline.steps import Step, from_there, with_changes
from core.pipeline.values import PipelineReport, StepReport, StepState
from core.spec import parse_spec
from core.states import State
from core.store import Store
from core.store.jobs import NewJob
from core.store.pipelines import Move, SeenPipeline
from core.submitting import Submitting, understood
from core.values import ArtifactKind, Progress, Trouble


@dataclass(frozen=True)
class Pipelining:
    """Moves pipelines on.

    Args:
        wake: rings for a worker of a queue that a job waits in.
        ring: says that the row of a job has changed.
    """

    store: Store
    kinds: Kinds
    home: Path
    wake: Callable[[str, str], object]
    ring: Callable[[str], object]

    def check(self, steps: Iterable[Step], who: Who) -> None:
        """Refuse steps that cannot be right, each in the words of its own Spec.

        Raises:
            BadInput: of the first step that is not.
            NotFound: a step reads an artifact that is not there.
        """
        submitting = Submitting(self.store, self.kinds, self.home, who)
        for step in steps:
            try:
                self._check_step(submitting, step)
            except (BadInput, NotFound) as error:
                raise type(error)(f"{step.name}: {error.message}", error.hint) from error

    def _check_step(self, submitting: Submitting, step: Step) -> None:
        kind = self.kinds[step.kind]
        if kind.queue is None:
            raise BadInput(f"A {step.kind} cannot be a step.")
        if not step.needs:
            submitting.new_job(step.kind, step.fields)
            return
        parsed, _ = understood(kind, replaced(step.fields, lambda _: PLACEHOLDER))
        submitting.check_can_run(kind, parsed)

    def advance(self, pipeline_id: str) -> None:
        """Do all that can be done now; nothing where the pipeline has ended or is gone."""
        while True:
            try:
                seen = self.store.pipeline(pipeline_id)
            except NotFound:
                return
            move = self._next(seen)
            if move is None:
                return
            self._make(seen, move)

    def advance_stale(self) -> None:
        """Go on with what was left lying by somebody who died."""
        for pipeline_id in self.store.stale_pipelines():
            self.advance(pipeline_id)

    def cancel(self, pipeline_id: str, by: str) -> None:
        """Cancel the steps that have not ended, and the pipeline once they have."""

        def move(seen: SeenPipeline) -> Move:
            if seen.job.state.is_finished:
                raise IllegalMove(f"Job {pipeline_id} has already ended: there is nothing to cancel.")
            active = tuple(step.job_id for step in self._report(seen).steps if step.state.is_active)
            state = State.RUNNING if active else State.CANCELLED
            event = "cancel_requested" if active else "cancelled"
            made = _as_it_is(seen, state, by, event)
            return replace(made, cancelled=active, is_cancel_requested=True, error=None)

        self._insist(pipeline_id, move)

    def pause(self, pipeline_id: str, by: str) -> None:
        """Begin no further step; hold what waits, and what runs if it can go on later."""

        def move(seen: SeenPipeline) -> Move:
            if seen.job.state is not State.RUNNING or seen.job.is_cancel_requested:
                raise IllegalMove(f"Job {pipeline_id} is {seen.job.state}: only a running pipeline can be paused.")
            steps = [step for step in self._report(seen).steps if not step.is_reused]
            held = tuple(step.job_id for step in steps if self._can_be_held(step))
            return replace(_as_it_is(seen, State.HELD, by, "held"), paused=held)

        self._insist(pipeline_id, move)

    def resume(self, pipeline_id: str, by: str, who: Who, changes: Mapping[str, Any] | None = None) -> None:
        """Let what was held go on, and begin anew what failed or was cancelled, with other values where some are given.

        Raises:
            IllegalMove: nothing of it is held.
            BadInput: a change is no field of a step, or one of a step that has succeeded or runs.
        """

        def move(seen: SeenPipeline) -> Move:
            now = self._report(seen)
            held = [step for step in now.steps if step.state is StepState.HELD]
            if seen.job.state is not State.HELD and not (seen.job.state is State.RUNNING and held):
                raise IllegalMove(f"Job {pipeline_id} is {seen.job.state}: only a paused pipeline can be resumed.")
            fields, changed = _changed(seen.job.spec, now, changes or {})
            self.check([step for step in parse_spec(PipelineSpec, fields).steps if step.name in changed], who)
            anew = {step.name for step in now.steps if step.state.is_stuck or step.name in changed}
            steps = tuple(_again(step, step.name in changed) if step.name in anew else step for step in now.steps)
            return replace(
                _as_it_is(seen, State.RUNNING, by, "resumed"),
                result=_result(now.model_copy(update={"steps": steps})),
                spec=fields,
                error=None,
                cancelled=tuple(step.job_id for step in held if step.name in anew),
                resumed=tuple(step.job_id for step in now.steps if step.state.is_active and step.name not in anew),
            )

        self._insist(pipeline_id, move)

    def _can_be_held(self, step: StepReport) -> bool:
        can_go_on = step.state is StepState.RUNNING and self.kinds[step.kind].can_pause
        return step.state is StepState.QUEUED or can_go_on

    def _insist(self, pipeline_id: str, think: Callable[[SeenPipeline], Move]) -> None:
        """Make a move that follows from what the pipeline is, though others move it at the same time; then go on."""
        while not self._make(seen := self.store.pipeline(pipeline_id), think(seen)):
            pass
        self.advance(pipeline_id)

    def _make(self, seen: SeenPipeline, move: Move) -> bool:
        queued = self.store.move_pipeline(seen.job, move)
        if queued is None:
            return False
        for job in queued:
            self.wake(job.queue, job.id)
        for job_id in (*(job.id for job in queued), *move.cancelled, *move.paused, seen.job.id):
            self.ring(job_id)
        return True

    def _report(self, seen: SeenPipeline) -> PipelineReport:
        return report(parse_spec(PipelineSpec, seen.job.spec).steps, seen.earlier, seen.steps)

    def _next(self, seen: SeenPipeline) -> Move | None:
        """What follows from what is; None for nothing."""
        if seen.job.state.is_finished:
            return None
        spec = parse_spec(PipelineSpec, seen.job.spec)
        found = report(spec.steps, seen.earlier, seen.steps)
        begun: list[NewJob] = []
        if seen.job.state is State.RUNNING and not seen.job.is_cancel_requested and not _stuck(found):
            found, begun = self._begin(seen, spec, found)
        state = _state(seen, found)
        event = {State.HELD: "held"}.get(state, state.value) if state is not seen.job.state else ""
        error = _trouble(found) if state is State.HELD else None
        move = Move(
            state=state,
            result=_result(found),
            error=error,
            progress=_progress(found) if state is State.RUNNING else None,
            begun=tuple(begun),
            event=event,
            facts={"message": error.message} if error and event else {},
        )
        is_news = begun or state is not seen.job.state or move.result != seen.job.result or error != seen.job.error
        return move if is_news or move.progress != seen.job.progress else None

    def _begin(
        self, seen: SeenPipeline, spec: PipelineSpec, found: PipelineReport
    ) -> tuple[PipelineReport, list[NewJob]]:
        """The report with what has begun by now, and the jobs to be queued for it."""
        fresh = from_there(spec.steps, spec.fresh_from) if spec.fresh_from else frozenset()
        reports, begun = list(found.steps), list[NewJob]()
        for at, step in enumerate(spec.steps):
            if reports[at].state is not StepState.WAITING or not _is_ready(step, found):
                continue
            try:
                new = self._new_job(seen, step, reports[at], found)
            except SetupError:  # nothing about the step: whoever comes next tries again
                raise
            except WorkbenchError as error:
                trouble = Trouble(code=error.code, message=error.message, hint=error.hint)
                reports[at] = reports[at].model_copy(update={"state": StepState.FAILED, "trouble": trouble})
                continue
            done = None if step.name in fresh else self.store.find_done(new.owner, new.fingerprint or "")
            if done and (handed_on(done.artifacts) or not _is_needed(step, spec)):
                reports[at] = taken_over(reports[at], done)
            else:
                begun.append(new)
        return found.model_copy(update={"steps": tuple(reports)}), begun

    def _new_job(self, seen: SeenPipeline, step: Step, now: StepReport, found: PipelineReport) -> NewJob:
        fields = replaced(step.fields, lambda name: _artifact_of(found, name))
        submitting = Submitting(self.store, self.kinds, self.home, Who(seen.job.owner))
        made = submitting.new_job(step.kind, fields, seen.job.priority)
        fingerprint = _fingerprint(step.kind, made.spec)
        if now.resume_from:
            made = submitting.new_job(step.kind, {**fields, "resume_from": now.resume_from}, seen.job.priority)
        return replace(
            made,
            visibility=seen.job.visibility,
            pipeline_id=seen.job.id,
            step=step.name,
            round=now.round,
            fingerprint=fingerprint,
        )


def _artifact_of(found: PipelineReport, name: str) -> str:
    step = found.step(name)
    artifact = handed_on(step.artifacts) if step else None
    if artifact is None:
        raise BadInput(f"{name} made no model, adapter or data set that could be handed on.")
    return artifact.id


def _is_ready(step: Step, found: PipelineReport) -> bool:
    needed = [found.step(name) for name in step.needs]
    return all(one is not None and one.state is StepState.SUCCEEDED for one in needed)


def _is_needed(step: Step, spec: PipelineSpec) -> bool:
    return any(step.name in other.needs for other in spec.steps)


def _stuck(found: PipelineReport) -> list[StepReport]:
    return [step for step in found.steps if step.state.is_stuck]


def _state(seen: SeenPipeline, found: PipelineReport) -> State:
    is_active = any(step.state.is_active for step in found.steps)
    if seen.job.is_cancel_requested:
        return State.RUNNING if is_active else State.CANCELLED
    if seen.job.state is State.HELD or _stuck(found):
        return State.HELD
    is_done = all(step.state is StepState.SUCCEEDED for step in found.steps)
    return State.SUCCEEDED if is_done else State.RUNNING


def _trouble(found: PipelineReport) -> Trouble | None:
    """Of the first step that is stuck; None where somebody has paused the whole."""
    stuck = next(iter(_stuck(found)), None)
    if stuck is None:
        return None
    known = stuck.trouble or Trouble(code="cancelled", message="it was cancelled.")
    hint = f"{known.hint} Resume runs {stuck.name} again, with other values if you give some.".strip()
    return Trouble(code=known.code, message=f"{stuck.name}: {known.message}", hint=hint)


def _progress(found: PipelineReport) -> Progress:
    words = {StepState.RUNNING: "runs", StepState.QUEUED: "waits in the queue", StepState.HELD: "is paused"}
    said = [f"{step.name} {words[step.state]}" for step in found.steps if step.state.is_active]
    done = sum(step.state is StepState.SUCCEEDED for step in found.steps)
    return Progress(current=done, total=len(found.steps), message=", ".join(said))


def _result(found: PipelineReport) -> dict[str, Any]:
    return PipelineResult(**dict(found)).model_dump(mode="json")


def _as_it_is(seen: SeenPipeline, state: State, by: str, event: str) -> Move:
    """A move that changes the state alone."""
    result = seen.job.result or _result(PipelineReport())
    facts = {"by": by}
    return Move(state=state, result=result, error=seen.job.error, by=by, event=event, facts=facts)


def _changed(
    spec: Mapping[str, Any], now: PipelineReport, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], frozenset[str]]:
    """The fields of the pipeline with other values, and the steps that have them."""
    names = frozenset(where.partition(".")[0] for where in changes)
    for step in now.steps:
        if step.name in names and step.state in (StepState.SUCCEEDED, StepState.RUNNING, StepState.QUEUED):
            way = f"`workbench restart PIPELINE --from {step.name}` runs it anew, in a new pipeline."
            raise BadInput(f"{step.name} is {step.state}: its fields can no longer be changed.", way)
    return {**spec, "steps": with_changes(spec["steps"], changes)}, names


def _again(step: StepReport, is_changed: bool) -> StepReport:
    """A step that begins anew: from its last checkpoint, where it has one and is asked the same."""
    checkpoint = next((one.id for one in step.artifacts if one.kind is ArtifactKind.CHECKPOINT), "")
    is_begun = step.state is not StepState.WAITING
    return StepReport(
        name=step.name,
        kind=step.kind,
        needs=step.needs,
        round=step.round + is_begun,
        resume_from="" if is_changed else checkpoint,
    )


def _fingerprint(kind: str, spec: Mapping[str, Any]) -> str:
    """The same for jobs that do the same, files of this machine that they read included."""
    asked = json.dumps([kind, spec, _files_in(spec)], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _files_in(value: Any) -> list[Any]:
    """Size and time of change of each path that a Spec names."""
    if isinstance(value, Mapping):
        return [found for each in value.values() for found in _files_in(each)]
    if isinstance(value, list):
        return [found for each in value for found in _files_in(each)]
    if not isinstance(value, str) or not value.startswith(("/", "~/")) or len(value) > 1000:
        return []
    try:
        known = Path(value).expanduser().stat()
    except (OSError, ValueError, RuntimeError):
        return []
    return [value, known.st_size, known.st_mtime_ns]
