"""Moves pipelines on: submits what can begin, takes over what was done before, and holds where a step went wrong.

Anybody may do so at any time, any number at once: `Store.move_pipeline` writes only what follows from what was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.access import Who
from core.errors import BadInput, IllegalMove, NotFound
from core.jobs import Kinds
from core.jobs.pipeline import PipelineSpec
from core.pipeline.references import PLACEHOLDER, replaced
from core.pipeline.report import report
from core.pipeline.steps import Step
from core.pipeline.values import PipelineReport, StepReport, StepState
from core.pipelining.beginning import Beginning
from core.pipelining.moves import (
    as_it_is,
    begun_again,
    changed_fields,
    progress_of,
    result_of,
    state_after,
    stuck,
    trouble_of,
)
from core.spec import parse_spec
from core.states import State
from core.store import Store
from core.store.jobs import NewJob
from core.store.pipelines import Move, SeenPipeline
from core.submitting import Submitting, understood


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
            made = as_it_is(seen, state, by, event)
            return replace(made, cancelled=active, is_cancel_requested=True, error=None)

        self._insist(pipeline_id, move)

    def pause(self, pipeline_id: str, by: str) -> None:
        """Begin no further step; hold what waits, and what runs if it can go on later."""

        def move(seen: SeenPipeline) -> Move:
            if seen.job.state is not State.RUNNING or seen.job.is_cancel_requested:
                raise IllegalMove(f"Job {pipeline_id} is {seen.job.state}: only a running pipeline can be paused.")
            steps = [step for step in self._report(seen).steps if not step.is_reused]
            held = tuple(step.job_id for step in steps if self._can_be_held(step))
            return replace(as_it_is(seen, State.HELD, by, "held"), paused=held)

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
            fields, changed = changed_fields(seen.job.spec, now, changes or {})
            self.check([step for step in parse_spec(PipelineSpec, fields).steps if step.name in changed], who)
            anew = {step.name for step in now.steps if step.state.is_stuck or step.name in changed}
            steps = tuple(begun_again(step, step.name in changed) if step.name in anew else step for step in now.steps)
            return replace(
                as_it_is(seen, State.RUNNING, by, "resumed"),
                result=result_of(now.model_copy(update={"steps": steps})),
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
        if seen.job.state is State.RUNNING and not seen.job.is_cancel_requested and not stuck(found):
            found, begun = Beginning(self.store, self.kinds, self.home).begin(seen, spec, found)
        state = state_after(seen, found)
        event = {State.HELD: "held"}.get(state, state.value) if state is not seen.job.state else ""
        error = trouble_of(found) if state is State.HELD else None
        move = Move(
            state=state,
            result=result_of(found),
            error=error,
            progress=progress_of(found) if state is State.RUNNING else None,
            begun=tuple(begun),
            event=event,
            facts={"message": error.message} if error and event else {},
        )
        is_news = begun or state is not seen.job.state or move.result != seen.job.result or error != seen.job.error
        return move if is_news or move.progress != seen.job.progress else None
