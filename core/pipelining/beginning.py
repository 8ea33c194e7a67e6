"""Begins steps: finds out which can, makes jobs of them, or takes over what was done before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.access import Who
from core.errors import BadInput, SetupError, WorkbenchError
from core.jobs import Kinds
from core.jobs.pipeline import PipelineSpec
from core.pipeline.references import replaced
from core.pipeline.report import handed_on, taken_over
from core.pipeline.steps import Step, from_there
from core.pipeline.values import PipelineReport, StepReport, StepState
from core.store import Store
from core.store.jobs import NewJob
from core.store.pipelines import SeenPipeline
from core.submitting import Submitting
from core.values import Trouble


@dataclass(frozen=True)
class Beginning:
    """Makes jobs of the steps that can begin; writes nothing."""

    store: Store
    kinds: Kinds
    home: Path

    def begin(
        self, seen: SeenPipeline, spec: PipelineSpec, found: PipelineReport
    ) -> tuple[PipelineReport, list[NewJob]]:
        """The report with what is taken over or cannot begin, and the jobs to be queued for the other steps.

        Raises:
            SetupError: it has nothing to do with a step; whoever comes next tries again.
        """
        fresh = from_there(spec.steps, spec.fresh_from) if spec.fresh_from else frozenset()
        reports, begun = list(found.steps), list[NewJob]()
        for at, step in enumerate(spec.steps):
            if reports[at].state is not StepState.WAITING or not _is_ready(step, found):
                continue
            try:
                new = self._new_job(seen, step, reports[at], found)
            except SetupError:
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
