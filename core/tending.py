"""What the client does with cards, the models in their memory and the workers: everybody looks, administrators act."""

from __future__ import annotations

from collections.abc import Sequence

from core.access import Who, check_may_manage
from core.errors import NotFound
from core.overview import Overview, overview, seen_holdings
from core.settings import Settings
from core.store import Store
from core.store.holdings import Holding
from core.store.workers import WorkerInfo


class OnCards:
    """The part of `core.client.Workbench` that is about what everybody shares."""

    settings: Settings
    store: Store
    who: Who

    def overview(self) -> Overview:
        """All cards and queues as one may see them. Of what is said here of expected starts the error is kept."""
        seen, is_said = overview(self.store, self.settings, self.who)
        self.store.say_expected({job: in_s for job, in_s in seen.said().items() if job not in is_said})
        return seen

    def workers(self) -> Sequence[WorkerInfo]:
        """The workers that live."""
        return self.store.workers()

    def holdings(self) -> Sequence[Holding]:
        """What living workers hold of their cards, the last used first; of private jobs of others the bytes alone."""
        return seen_holdings(self.store.holdings(), self.store, self.who)

    def unload(self, model: str) -> Sequence[Holding]:
        """Let a resident model go as soon as no job uses it; those that are meant, by its name or key.

        Raises:
            NotAllowed: one is no administrator.
            NotFound: it is not in memory.
        """
        found = self._held(model)
        self.store.pin(found, is_pinned=False)
        self.store.request_release(found)
        return found

    def pin(self, model: str, *, is_pinned: bool = True) -> Sequence[Holding]:
        """Keep a resident model when another needs the room, or no longer.

        Raises:
            NotAllowed: one is no administrator.
            NotFound: it is not in memory.
        """
        found = self._held(model)
        self.store.pin(found, is_pinned)
        return found

    def drain(self, worker: str, is_draining: bool = True) -> Sequence[WorkerInfo]:
        """Let a worker finish what it runs and take nothing more, or take jobs again; those that are meant.

        Args:
            worker: its id, the end of one, or a host, which means every worker there.

        Raises:
            NotAllowed: one is no administrator.
            NotFound: no such worker lives.
        """
        check_may_manage(self.who)
        workers = self.store.workers()
        found = [one for one in workers if worker in (one.id, one.host)]
        found = found or [one for one in workers if len(worker) >= 4 and one.id.endswith(worker)]
        if not found:
            raise NotFound(f"No worker {worker!r} lives.", "`workbench cards` lists them.")
        for one in found:
            self.store.request_drain(one.id, is_draining)
        return found

    def _held(self, model: str) -> Sequence[Holding]:
        check_may_manage(self.who)
        found = [one for one in self.store.holdings() if model in (one.model, one.key)]
        if not found:
            raise NotFound(f"No model {model!r} is in memory.", "`workbench models` shows what is.")
        return found
