"""What the jobs of a load key ask for, read once a key: their kind, their Spec, and how their models are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import WorkbenchError
from core.jobs import Kinds
from core.jobs.kind import AnyKind
from core.spec import parse_spec
from core.store import Store
from core.store.waiting import Waiting
from core.variant import Variant
from worker.appraisal import Appraisal, Appraiser

MOST_KEYS = 1_000
Asked = tuple[AnyKind | None, Any]
"""A kind with its Spec; neither for a job without a model, or of a version that this one does not know."""
NOTHING_ASKED: Mapping[str, Asked] = {"": (None, None)}


class Reader:
    """Reads one job for all of its load key."""

    def __init__(self, store: Store, kinds: Kinds, appraiser: Appraiser) -> None:
        self._store = store
        self._kinds = kinds
        self._appraiser = appraiser
        self._asked = dict(NOTHING_ASKED)

    def asked(self, one: Waiting) -> Asked:
        """The kind and the Spec of these jobs."""
        if one.load_key not in self._asked:
            if len(self._asked) > MOST_KEYS:
                self._asked = dict(NOTHING_ASKED)
            self._asked[one.load_key] = self._read(one.oldest)
        return self._asked[one.load_key]

    def variants(self, one: Waiting) -> tuple[Variant, ...]:
        """The models that these jobs need."""
        kind, spec = self.asked(one)
        return kind.variants(spec) if kind else ()

    def tried(self, one: Waiting) -> list[Appraisal | WorkbenchError]:
        """How each of these models is loaded here, or why it cannot be."""
        return [self._try(variant) for variant in self.variants(one)]

    def _try(self, variant: Variant) -> Appraisal | WorkbenchError:
        try:
            return self._appraiser.appraise(variant)
        except WorkbenchError as error:
            return error

    def _read(self, job_id: str) -> Asked:
        try:
            job = self._store.job(job_id)
            kind = self._kinds[job.kind]
            return kind, parse_spec(kind.spec, job.spec)
        except WorkbenchError:  # of a version that this one does not know: it fails once it runs
            return None, None
