"""The models of one process as its jobs see them: asked for as a variant, found on this machine, shared in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from core.variant import Variant
from worker.appraisal import Appraiser, changed_at
from worker.pool import Pool, Say

if TYPE_CHECKING:
    from core.llm.resident import Resident


class Models:
    """Appraiser and pool together.

    Args:
        changed: hears that models have come or gone on this machine.
        pinned: hears of a key that is to stay.
        held: hears that a model has come into memory, before the job that asked for it goes on: when that job has
            ended, whoever looks finds the model.
    """

    def __init__(
        self,
        appraiser: Appraiser,
        pool: Pool,
        changed: Callable[[], None] = lambda: None,
        pinned: Callable[[str], None] = lambda key: None,
        held: Callable[[], None] = lambda: None,
    ) -> None:
        self.appraiser = appraiser
        self.pool = pool
        self._changed = changed
        self._pinned = pinned
        self._held = held

    def resident(self, variant: Variant, job: str, say: Say) -> Resident:
        """The model in memory, loaded first where need be, until the job gives it back.

        Raises:
            ModelError: there is no such model here, or it cannot be loaded.
            BadInput: this machine cannot run it like that.
            AdapterMismatch: the adapter is not for this model.
            OutOfMemory: it is too large for this device.
        """
        began = time.time()
        resident = self.pool.borrow(self.appraiser.appraise(variant), job, say)
        if resident.loaded_at >= began:
            self._held()
        return self._with_adapter(resident, variant.adapter) if variant.adapter else resident

    def _with_adapter(self, resident: Resident, adapter: str) -> Resident:
        source = self.appraiser.adapter(adapter)
        name = f"{adapter} {source.revision or ''} {changed_at(source)}"  # one that was trained anew is another
        resident.engine.add_adapter(name, source.folder)
        return replace(resident, adapter=name)

    def pin(self, variant: Variant) -> None:
        """Keep a resident model when another needs the room, until somebody unpins it."""
        key = self.appraiser.appraise(variant).key
        self.pool.pin(key)
        self._pinned(key)

    def changed(self) -> None:
        """Look at the machine's models again, and report them."""
        self._changed()
        self.appraiser.forget()
