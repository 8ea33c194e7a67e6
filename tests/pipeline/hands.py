"""A pipeline without workers: what they would do to the store is done by hand, on either database."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.access import Who
from core.ids import new_id
from core.jobs import Kinds
from core.jobs.pipeline import PipelineSpec
from core.pipeline.values import PipelineReport, StepState
from core.pipelining import Pipelining
from core.spec import parse_spec
from core.states import State
from core.store import Store
from core.store.claims import Claim, Kept
from core.submitting import Submitting
from core.values import ArtifactKind, ArtifactRef, Job, Trouble
from tests.pipeline.kinds import MODULE

ANA = Who("ana")


def step(name: str, kind: str = "make", **fields: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "fields": {"text": name, **fields}}


CHAIN = (step("a"), step("b", source="@a"), step("c", source="@b"))


@dataclass
class Hands:
    """The store, somebody who moves pipelines on, and what was rung."""

    store: Store
    home: Path
    rung: list[str] = field(default_factory=list)

    @property
    def pipelining(self) -> Pipelining:
        return Pipelining(
            self.store, Kinds(MODULE), self.home, lambda queue, job: self.rung.append(job), lambda job: None
        )

    def submit(self, *steps: dict[str, Any], fresh_from: str = "", advance: bool = True, who: Who = ANA) -> str:
        """Submit a pipeline as the client does; its id."""
        new = Submitting(self.store, Kinds(MODULE), self.home, who).new_job(
            "pipeline", {"steps": list(steps), "fresh_from": fresh_from}
        )
        self.pipelining.check(parse_spec(PipelineSpec, new.spec).steps, who)
        job, _ = self.store.submit(new)
        if advance:
            self.pipelining.advance(job.id)
        return job.id

    def claim(self) -> Claim:
        claim = self.store.claim("batch", "w", 30)
        assert claim is not None
        if claim.pipeline_id:
            self.pipelining.advance(claim.pipeline_id)
        return claim

    def succeed(self, claim: Claim, advance: bool = True, kind: ArtifactKind = ArtifactKind.ADAPTER) -> str:
        """End a step with an artifact; its id."""
        made = ArtifactRef(id=new_id(), kind=kind, name="made", n_bytes=1)
        self.store.add_artifact(claim.job_id, claim.attempt, made)
        result = {"text": f"made {claim.spec['text']}", "tries": []}
        self.store.finish(claim.job_id, claim.attempt, State.SUCCEEDED, result, Kept())
        self._go_on(claim, advance)
        return made.id

    def fail(self, claim: Claim, advance: bool = True) -> None:
        self.store.fail(claim.job_id, claim.attempt, Trouble(code="bug", message="It broke."), Kept())
        self._go_on(claim, advance)

    def stop(self, claim: Claim) -> None:
        """End a step that was asked to stop."""
        self.store.finish(claim.job_id, claim.attempt, State.CANCELLED, {"text": "", "tries": []}, Kept())
        self._go_on(claim, True)

    def work(self) -> list[str]:
        """Do all that waits, one after another; the texts of the steps in the order in which they were done."""
        done = []
        while (claim := self.store.claim("batch", "w", 30)) is not None:
            done.append(str(claim.spec["text"]))
            self.succeed(claim)
        return done

    def job(self, pipeline_id: str) -> Job:
        return self.store.job(pipeline_id)

    def states(self, pipeline_id: str) -> dict[str, str]:
        return {one.name: one.state.value for one in self.report(pipeline_id).steps}

    def report(self, pipeline_id: str) -> PipelineReport:
        return PipelineReport.model_validate(self.job(pipeline_id).result)

    def waiting(self) -> list[str]:
        """The texts of the steps that wait in the queue."""
        return [str(self.store.job(one).spec["text"]) for one in self.store.waiting_ids("batch", 99)]

    def _go_on(self, claim: Claim, advance: bool) -> None:
        if advance and claim.pipeline_id:
            self.pipelining.advance(claim.pipeline_id)


WAITING, QUEUED, RUNNING = StepState.WAITING.value, StepState.QUEUED.value, StepState.RUNNING.value
HELD, DONE, FAILED = StepState.HELD.value, StepState.SUCCEEDED.value, StepState.FAILED.value
CANCELLED = StepState.CANCELLED.value
