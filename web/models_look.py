"""What the Models page shows, read from the store: what each place has, and what lies in the memory of each card.

Rows are named by a hash: what a browser sends back is looked up among what there is now, and no path leaves the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby

from core.client import Workbench
from core.errors import NotFound
from core.states import State
from core.store.holdings import Holding
from core.store.models import FoundModel
from core.store.queries import JobFilter
from core.store.workers import WorkerInfo
from core.values import Job, Role
from web.rewards_here import link_to_use, reward_offers

KINDS = ("load", "download", "convert", "remove")
MOST_JOBS = 50


@dataclass(frozen=True)
class Memory:
    """One card's memory: what is held of it by name, and what is left."""

    name: str
    host: str
    is_host: bool
    total_bytes: float
    free_bytes: float
    held: tuple[Holding, ...]

    @property
    def others_bytes(self) -> float:
        """What neither is free nor was reported by a worker."""
        return max(0.0, self.total_bytes - self.free_bytes - sum(one.n_bytes for one in self.held))

    def share(self, n_bytes: float) -> float:
        """So many bytes in percent of the card."""
        return round(100 * n_bytes / self.total_bytes, 2) if self.total_bytes else 0.0


@dataclass(frozen=True)
class Shelves:
    """All that the page shows, at one moment."""

    memories: tuple[Memory, ...]
    places: tuple[tuple[str, tuple[FoundModel, ...]], ...]
    jobs: tuple[Job, ...]
    """Those that bring, change or take away models and have not ended."""
    rewards: Mapping[str, str] = field(default_factory=dict)
    """By the name of a classifier that can be a reward, the form with it filled in."""

    def held(self, found: FoundModel) -> tuple[Holding, ...]:
        """Where a model is in memory."""
        everything = (one for memory in self.memories for one in memory.held)
        return tuple(one for one in everything if is_of(one, found))


def look(client: Workbench) -> Shelves:
    """Read everything."""
    workers, holdings = client.workers(), client.holdings()
    found = sorted(client.models(), key=_order)
    places: dict[str, tuple[FoundModel, ...]] = {worker.place: () for worker in workers}
    places |= {place: tuple(group) for place, group in groupby(found, lambda one: one.place)}
    rewards = {one.value: link_to_use(one.value, one.labels) for one in reward_offers(client)}
    return Shelves(
        tuple(_memories(workers, holdings)), tuple(sorted(places.items())), tuple(_under_way(client)), rewards
    )


def _order(found: FoundModel) -> tuple[str, bool, str]:
    return found.place, found.info.role is not Role.CAUSAL, found.info.name.lower()


def is_of(held: Holding, found: FoundModel) -> bool:
    """Whether what is held is that model. A holding is called as it was asked for, so a revision may be unsaid."""
    return held.model == found.info.name and held.revision in (None, found.info.revision)


def ref(*parts: str | None) -> str:
    """A name for something that is safe in an address, an attribute and a selector."""
    return sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:16]


def model_ref(found: FoundModel) -> str:
    """The name of a model's row."""
    return ref(found.place, found.info.name, found.info.revision)


def holding_ref(held: Holding) -> str:
    """The name of a holding's row."""
    return ref(held.worker, held.key)


def find_model(client: Workbench, wanted: str) -> FoundModel:
    """The model of a row, or the one of that name.

    Raises:
        NotFound: it has gone meanwhile.
    """
    everything = client.models()
    found = next((one for one in everything if wanted in (model_ref(one), one.info.name)), None)
    if found is None:
        raise NotFound("This model is not here any more.", "The list below shows what is.")
    return found


def find_holding(client: Workbench, wanted: str) -> Holding:
    """What a row says is in memory.

    Raises:
        NotFound: it has gone meanwhile.
    """
    found = next((one for one in client.holdings() if holding_ref(one) == wanted), None)
    if found is None:
        raise NotFound("This model is not in memory any more.")
    return found


def _memories(workers: Sequence[WorkerInfo], holdings: Sequence[Holding]) -> Iterable[Memory]:
    by_card = {worker.card or worker.id: worker for worker in workers}
    for card, worker in sorted(by_card.items()):
        yield Memory(
            name="Memory" if worker.memory_kind == "host" else worker.device,
            host=worker.host,
            is_host=worker.memory_kind == "host",
            total_bytes=worker.memory_total,
            free_bytes=min(one.memory_free for one in workers if (one.card or one.id) == card),
            held=tuple(one for one in holdings if one.card == card),
        )


def _under_way(client: Workbench) -> Iterable[Job]:
    for state in (State.RUNNING, State.QUEUED):
        jobs = client.list(JobFilter(state=state), limit=MOST_JOBS)
        yield from (job for job in jobs if job.kind in KINDS)
