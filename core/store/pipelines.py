"""Pipelines as rows: what their steps' jobs are, and moves that hold only for what was seen.

A pipeline has no worker and no lease. Whoever wants to move it reads it, thinks, and writes what follows; where
somebody else has moved it meanwhile nothing is written, and the reader begins again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from core.errors import IllegalMove, NotFound
from core.models import JobRow, now
from core.pipeline.values import PipelineReport
from core.states import State, check_move
from core.store.jobs import Jobs, NewJob, cancel_job, pause_job, resume_job, set_values
from core.store.part import JOBS, append_event
from core.store.rows import job_of, whole_jobs
from core.values import Job, Progress, Trouble

NO_QUEUE = ""
UNDER_WAY = (State.RUNNING, State.HELD)


@dataclass(frozen=True)
class SeenPipeline:
    """A pipeline, and by name of each step the job of the round that counts, as they stood at one moment."""

    job: Job
    steps: Mapping[str, Job]
    earlier: PipelineReport


@dataclass(frozen=True)
class Move:
    """What becomes of a pipeline: its own columns, and the jobs that begin, are cancelled, held or let go on.

    `event` is appended with `facts`; "" where nothing happened that is worth a line of history.
    """

    state: State
    result: Mapping[str, Any]
    spec: Mapping[str, Any] | None = None
    error: Trouble | None = None
    progress: Progress | None = None
    is_cancel_requested: bool = False
    begun: tuple[NewJob, ...] = ()
    cancelled: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    by: str = ""
    event: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Pipelines(Jobs):
    """What is asked of pipelines and done to them."""

    def pipeline(self, pipeline_id: str) -> SeenPipeline:
        """A pipeline with the jobs of its steps.

        Raises:
            NotFound: there is no such pipeline.
        """
        with self.database.read() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.id == pipeline_id, JOBS.c.queue == NO_QUEUE)).first()
            if row is None:
                raise NotFound(f"There is no pipeline {pipeline_id}.")
            earlier = _report(row.result)
            rounds = {step.name: step.round for step in earlier.steps}
            own = connection.execute(select(JOBS).where(JOBS.c.pipeline_id == pipeline_id)).all()
            counted = [one for one in own if one.round == rounds.get(one.step, 1)]
            reused = {step.job_id: step.name for step in earlier.steps if step.is_reused}
            taken = connection.execute(select(JOBS).where(JOBS.c.id.in_(reused))).all() if reused else []
            jobs = whole_jobs(connection, [*counted, *taken])
        return SeenPipeline(job_of(row), {str(reused.get(job.id, job.step)): job for job in jobs}, earlier)

    def stale_pipelines(self) -> list[str]:
        """Pipelines under way whose kept result is not what their steps' jobs are: somebody died before saying so."""
        unfinished = (JOBS.c.queue == NO_QUEUE, JOBS.c.state.in_(UNDER_WAY))
        with self.database.read() as connection:
            pipelines = connection.execute(select(JOBS.c.id, JOBS.c.state, JOBS.c.result).where(*unfinished)).all()
            if not pipelines:
                return []
            columns = (JOBS.c.pipeline_id, JOBS.c.step, JOBS.c.round, JOBS.c.state)
            ids = [row.id for row in pipelines]
            steps = {row[:3]: row.state for row in connection.execute(select(*columns).where(columns[0].in_(ids)))}
        return [one for one, state, result in pipelines if _is_stale(one, state, _report(result), steps)]

    def waiting_queues(self, pipeline_id: str) -> set[str]:
        """The queues in which steps of a pipeline wait, where none of its steps runs."""
        steps = select(JOBS.c.queue, JOBS.c.state).where(JOBS.c.pipeline_id == pipeline_id)
        with self.database.read() as connection:
            rows = connection.execute(steps).all()
        is_running = any(row.state == State.RUNNING for row in rows)
        return set() if is_running else {row.queue for row in rows if row.state == State.QUEUED}

    def find_done(self, owner: str, fingerprint: str) -> Job | None:
        """The newest step that succeeded with just this to do, of the same owner."""
        same = (JOBS.c.owner == owner, JOBS.c.fingerprint == fingerprint, JOBS.c.state == State.SUCCEEDED)
        with self.database.read() as connection:
            row = connection.execute(select(JOBS).where(*same).order_by(JOBS.c.id.desc()).limit(1)).first()
            return whole_jobs(connection, [row])[0] if row is not None else None

    def move_pipeline(self, seen: Job, move: Move) -> list[Job] | None:
        """Write a move, unless the pipeline is no longer as it was `seen`.

        Returns:
            The jobs that have come into their queues; None where nothing was written.
        """
        with self.database.write() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.id == seen.id).with_for_update()).first()
            if row is None or job_of(row) != seen:
                return None
            _write(connection, seen, move)
            added = [self._add(connection, new) for new in move.begun]
            queued = [job_of(one) for one in added if one is not None]
            queued += _let_go_on(connection, move)
            with_end = (*((cancel_job, one) for one in move.cancelled), *((pause_job, one) for one in move.paused))
            for act, job_id in with_end:
                with suppress(IllegalMove, NotFound):  # it has ended meanwhile, which the next move will see
                    act(connection, job_id, move.by)
            return queued


def _report(result: Any) -> PipelineReport:
    return PipelineReport.model_validate(result) if result else PipelineReport()


def _is_stale(pipeline_id: str, state: str, told: PipelineReport, steps: Mapping[tuple[str, str, int], str]) -> bool:
    if not told.steps:
        return True
    own = [step for step in told.steps if not step.is_reused]
    # a job that is there already or not there any more counts as well
    if any(steps.get((pipeline_id, step.name, step.round)) != (step.state if step.job_id else None) for step in own):
        return True
    return state == State.RUNNING and not any(step.state.is_active for step in told.steps)


def _write(connection: Connection, seen: Job, move: Move) -> None:
    values: dict[str, Any] = {"result": move.result, "state": move.state}
    if move.state is not seen.state:
        check_move(seen.state, move.state)
    if move.state.is_finished:
        values["finished_at"] = now()
    if move.spec is not None:
        values["spec"] = move.spec
    if move.is_cancel_requested and not seen.is_cancel_requested:
        values["cancel_requested_at"] = now()
    values["error"] = move.error.model_dump(mode="json") if move.error else None
    values["progress"] = move.progress.model_dump(mode="json") if move.progress else None
    set_values(connection, seen.id, **values)
    if move.event:
        append_event(connection, seen.id, move.event, data=move.facts)


def _let_go_on(connection: Connection, move: Move) -> Iterator[Job]:
    for job_id in move.resumed:
        with suppress(IllegalMove, NotFound):
            _, is_queued = resume_job(connection, job_id, move.by)
            if is_queued:
                yield job_of(connection.execute(select(JOBS).where(JobRow.id == job_id)).one())
