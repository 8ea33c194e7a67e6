"""What a process must know of the others before it takes a job: who holds the card, who is there, what they have."""

from __future__ import annotations

import threading
from pathlib import Path

from core.abilities import Abilities, usual_abilities
from core.cards import Card, read_card
from core.jobs.kind import Machine, Queue
from core.store import Store
from core.store.holdings import Holding
from core.store.workers import WorkerInfo
from worker.admission import Memory
from worker.place import place_of
from worker.pool import Pool

FINDS_OUT = Queue.INTERACTIVE  # the process that has torch imported anyway
PATIENCE_S = 60.0


class Surroundings:
    """One worker's view of its card and its neighbours, read from the store now and then.

    Args:
        place: the home on this host, shared by workers that see the same files.
        memory_bytes: what models and jobs may take of the card together; 0: all of it.
        slots: how many jobs it runs at once.
    """

    def __init__(
        self,
        store: Store,
        worker: str,
        queue: str,
        card: Card,
        home: Path,
        memory_bytes: int = 0,
        slots: int = 1,
    ) -> None:
        self._store = store
        self.worker = worker
        self._queue = queue
        self._card = card
        self._home, self._place = home, place_of(home)
        self.budget_bytes = memory_bytes or card.total_bytes
        self._most_waiting = max(slots * 3 // 4, 1)
        self._others: tuple[Holding, ...] = ()
        self._workers: tuple[WorkerInfo, ...] = ()
        self.own_abilities: Abilities | None = None
        self.is_drain_requested = False
        self._found_out = threading.Event()
        if queue != FINDS_OUT:
            self._found_out.set()

    def found_out(self, abilities: Abilities | None) -> None:
        """What the card can run, once that is known; None where it could not be found out."""
        self.own_abilities = abilities
        self._found_out.set()

    @property
    def abilities(self) -> Abilities:
        """What the card can run: as found out here, as another process of the card reports it, or as usual.

        While a process that finds it out itself is at that, whoever asks waits: the libraries that it imports for that
        would have to be imported anyway.
        """
        self._found_out.wait(PATIENCE_S)
        if self.own_abilities:
            return self.own_abilities
        reported = (one.abilities for one in self._workers if one.card == self._card.key and one.abilities)
        found = next(reported, None)
        return Abilities.model_validate(found) if found else usual_abilities(self._card.name, self._card.memory_kind)

    @property
    def memory_kind(self) -> str:
        """Whether it is a card's own memory, or the host's."""
        return self._card.memory_kind

    def look(self) -> list[Holding]:
        """Read afresh what is held of the card; this worker's own holdings, with what others wish of them."""
        held = self._store.holdings(card=self._card.key)
        self._others = tuple(one for one in held if one.worker != self.worker)
        return [one for one in held if one.worker == self.worker]

    def meet(self) -> None:
        """Read afresh who lives."""
        self._workers = tuple(self._store.workers())

    def hear(self) -> None:
        """Read afresh whether this worker is to take nothing more; a row that was swept away says nothing of that."""
        wished = self._store.is_drain_requested(self.worker)
        self.is_drain_requested = self.is_drain_requested if wished is None else wished

    def memory(self, pool: Pool) -> Memory:
        """The card's memory now."""
        own = pool.holdings()
        everybodys = (*own, *self._others)
        held = sum(one.n_bytes + one.work_bytes for one in everybodys)
        # what is on its way in is not seen by the driver yet, nor what running jobs were promised
        promised = sum(one.work_bytes + (one.n_bytes if one.is_loading else 0) for one in everybodys)
        free = min(read_card().free_bytes + pool.cached_bytes() - promised, self.budget_bytes - held)
        return Memory(self.budget_bytes, free, own, self._others, self._largest_elsewhere(), self._most_waiting)

    def machine(self, job: str) -> Machine:
        """What a job may use of the card: all that nobody else holds, models that were kept for it included."""
        self.look()
        others = sum(one.n_bytes + one.work_bytes for one in self._others if job not in one.users)
        usable = min(read_card().free_bytes, self.budget_bytes - others)
        return Machine(self.abilities, self._card.memory_kind, max(usable, 0), self._home)

    def has_elsewhere(self, model: str, revision: str | None) -> bool:
        """Whether another worker of this queue sees other files, with that model among them."""
        self.meet()
        places = {one.place for one in self._same_queue()} - {self._place}
        found = [one.info for one in self._store.models() if one.place in places] if places else []
        return any(one.name == model and (one.revision or "").startswith(revision or "") for one in found)

    def has_beside(self, queue: str) -> bool:
        """Whether a worker of that queue lives on this card."""
        return any(one.queue == queue and one.card == self._card.key for one in self._workers)

    def _same_queue(self) -> list[WorkerInfo]:
        return [one for one in self._workers if one.queue == self._queue and one.id != self.worker]

    def _largest_elsewhere(self) -> int:
        """What another worker that sees the same files may use at most."""
        others = (one for one in self._same_queue() if one.card != self._card.key and one.place == self._place)
        return max((int(one.memory_total) for one in others), default=0)
