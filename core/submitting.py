"""What a kind and its fields make of a job to be queued: checked, titled, with what it needs. Nothing is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.abilities import Abilities, check_can_run
from core.access import Who, may_see
from core.errors import BadInput, NotFound
from core.ids import is_id
from core.jobs import Kinds
from core.jobs.kind import AnyKind
from core.spec import Spec, parse_spec
from core.store import Store
from core.store.jobs import NewJob
from core.values import ArtifactRef, Job
from core.variant import Variant


@dataclass(frozen=True)
class Submitting:
    """Makes jobs on behalf of one person."""

    store: Store
    kinds: Kinds
    home: Path
    who: Who
    allowed: Callable[[AnyKind, Spec], Spec] = lambda _kind, spec: spec
    """Refuses what may not be asked for here, before anything of it is looked at."""

    def new_job(self, kind: str, spec: Spec | Mapping[str, Any], priority: int = 0) -> NewJob:
        """The job that a kind and the fields of its Spec describe.

        Raises:
            BadInput: the spec is not one of this kind, or what it asks is known to be impossible.
            NotFound: it reads an artifact that is not there, or not to be seen.
            NotAllowed: this may not be asked for here.
        """
        chosen = self.kinds[kind]
        understood_spec, notes = understood(chosen, spec)
        parsed = self.allowed(chosen, understood_spec)
        variants = self.check_can_run(chosen, parsed)
        for artifact_id in chosen.artifacts(parsed):
            self.artifact(artifact_id)
        chosen.check(parsed, self.home)
        return NewJob(
            kind=kind,
            queue=chosen.queue or "",
            owner=self.who.name,
            spec=parsed.model_dump(mode="json"),
            name=chosen.title(parsed),
            words=chosen.words(parsed),
            model=chosen.model(parsed),
            load_key=_load_key(chosen, parsed, variants),
            work_tokens=chosen.tokens(parsed),
            notes=notes,
            priority=_bounded(priority),
        )

    def check_can_run(self, kind: AnyKind, spec: Spec) -> Sequence[Variant]:
        """The models that a job needs in memory, where some worker can run one of them.

        Raises:
            BadInput: none can.
        """
        variants: Sequence[Variant] = kind.variants(spec)
        if variants:
            check_can_run(variants, abilities(self.store, kind.queue or ""))
        return variants

    def artifact(self, artifact_id: str) -> tuple[Job, ArtifactRef]:
        """An artifact with the job that made it.

        Raises:
            NotFound: there is none, or one may not see its job.
        """
        if is_id(artifact_id):
            job_id, artifact = self.store.artifact(artifact_id)
            job = self.store.job(job_id)
            if may_see(self.who, job):
                return job, artifact
        raise NotFound(f"There is no artifact {artifact_id[:64]}.")


def understood(kind: AnyKind, spec: Spec | Mapping[str, Any]) -> tuple[Spec, tuple[str, ...]]:
    """The Spec that fields describe, and a sentence for each that had another spelling.

    Raises:
        BadInput: they describe none.
    """
    fields, notes = kind.spec.understand(spec.model_dump(mode="json") if isinstance(spec, Spec) else spec)
    return parse_spec(kind.spec, fields), notes


def abilities(store: Store, queue: str = "") -> Sequence[Abilities]:
    """What living workers can run, those that have said so; of one queue where it is named."""
    workers = store.workers()
    cards = {one.card for one in workers if not queue or one.queue == queue}
    return [Abilities.model_validate(one.abilities) for one in workers if one.abilities and one.card in cards]


def _load_key(kind: AnyKind, spec: Spec, variants: Sequence[Variant]) -> str:
    """The same for jobs that need the same memory; one that trains needs what its own Spec says."""
    models = "; ".join(variant.load_key for variant in variants)
    if kind.peak is None or not models:
        return models
    return f"{models} for {hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:12]}"


def _bounded(priority: int) -> int:
    if not -100 <= priority <= 100:
        raise BadInput(f"priority: input should be between -100 and 100, not {priority}.")
    return priority
