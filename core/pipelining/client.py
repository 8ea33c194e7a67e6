"""What the client does with pipelines, beside what it does with every job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from core.access import Who, check_changed
from core.errors import BadInput
from core.jobs import Kinds, pipeline
from core.jobs.pipeline import PipelineSpec
from core.pipeline.steps import with_changes
from core.pipelining import Pipelining
from core.policy import Policy
from core.settings import Settings
from core.spec import Spec, parse_spec
from core.store import Store
from core.submitting import Submitting
from core.values import Job


class OnPipelines(ABC):
    """The part of `core.client.Workbench` that pipelines need."""

    settings: Settings
    store: Store
    who: Who
    kinds: Kinds

    @abstractmethod
    def show(self, job: str) -> Job:
        """See `Workbench.show`."""

    @abstractmethod
    def submit(
        self,
        kind: str,
        spec: Spec | Mapping[str, Any],
        *,
        name: str = "",
        retry_of: str | None = None,
        priority: int = 0,
    ) -> Job:
        """See `Workbench.submit`."""

    def resume_pipeline(self, job: str, changes: Mapping[str, Any] | None = None) -> Job:
        """Let a pipeline go on that is paused or held by a step: what went wrong is run again.

        Args:
            changes: other values for fields of steps that have not succeeded, by STEP.FIELD.

        Raises:
            IllegalMove: nothing of it is held.
            BadInput: a change is refused.
        """
        found = check_changed(self.who, self._pipeline(job))
        self.policy.check_names({at.rpartition(".")[2]: value for at, value in (changes or {}).items()})
        self._pipelining.resume(found.id, self.who.name, Who(found.owner), changes)
        return self._told(found)

    def restart(self, job: str, from_step: str = "", changes: Mapping[str, Any] | None = None) -> Job:
        """Submit a pipeline once more: `from_step` and all that depend on it run anew, and so does what has changed.

        Args:
            changes: other values for fields of its steps, by STEP.FIELD.

        Raises:
            BadInput: there is no such step or field.
        """
        found = self._pipeline(job)
        steps = with_changes(found.spec["steps"], changes or {})
        spec = {**found.spec, "steps": steps, "fresh_from": from_step}
        return self.submit(pipeline.NAME, spec, name=found.name, retry_of=found.id, priority=found.priority)

    def check_pipeline(self, spec: Mapping[str, Any]) -> None:
        """Refuse a pipeline that `submit` would refuse.

        Raises:
            BadInput, NotFound: with the step that is wrong.
        """
        self._pipelining.check(parse_spec(PipelineSpec, spec).steps, self.who)

    def _pipeline(self, job: str) -> Job:
        found = self.show(job)
        if found.kind != pipeline.NAME:
            raise BadInput(f"Job {found.id} is no pipeline but a {found.kind}.")
        return found

    @property
    def policy(self) -> Policy:
        """What may be asked for here."""
        return Policy(self.settings, self.store, self.who)

    @property
    def _submitting(self) -> Submitting:
        return Submitting(self.store, self.kinds, self.settings.home, self.who, self.policy.allowed)

    @property
    def _pipelining(self) -> Pipelining:
        return Pipelining(self.store, self.kinds, self.settings.home, self._wake, self._ring)

    @abstractmethod
    def _told(self, changed: Job) -> Job: ...

    @abstractmethod
    def _wake(self, queue: str, job_id: str) -> None: ...

    @abstractmethod
    def _ring(self, job_id: str) -> None: ...
