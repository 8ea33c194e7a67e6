"""The cards as one person may see them: who holds their memory, what runs, what waits, in which order, why, how long.

A job that somebody else keeps private shows its owner and its bytes alone, and so does the model that it uses.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.access import Who, may_see_of
from core.expected import Occupied, Start, Took, Waiter, expected_starts, median_error_s
from core.settings import Settings
from core.store import Store
from core.store.holdings import Holding
from core.store.standing import Standing
from core.store.workers import WorkerInfo
from core.values import Progress

MOST_SHOWN = 50
PRIVATE_MODEL = "a model of a private job"
QUEUES = ("interactive", "batch")


@dataclass(frozen=True)
class Shown:
    """A job as somebody may see it: of a private one of another person the owner alone, and the id is ""."""

    id: str
    owner: str
    kind: str = ""
    name: str = ""
    model: str = ""
    is_mine: bool = False

    @property
    def is_private(self) -> bool:
        """Whether nothing more may be seen of it."""
        return not self.id


@dataclass(frozen=True)
class Running:
    """A job that runs, and since when; `left_s` is what it has still to do, in seconds, where that is known."""

    job: Shown
    worker: str
    queue: str
    since: float
    left_s: float | None = None
    progress: Progress | None = None
    is_cancel_requested: bool = False


@dataclass(frozen=True)
class Waits:
    """A job that waits: why, since when, and when it is expected to start."""

    job: Shown
    reason: str
    since: float
    start: Start


@dataclass(frozen=True)
class Line:
    """The queue of one sort of jobs: `waiting` are the next of `n_waiting`, in the order in which they are claimed."""

    queue: str
    n_waiting: int
    n_running: int
    n_places: int
    waiting: tuple[Waits, ...]


@dataclass(frozen=True)
class Held:
    """Memory that a process holds, and who uses it now."""

    holding: Holding
    users: tuple[Shown, ...]
    is_private: bool = False


@dataclass(frozen=True)
class CardNow:
    """One card's memory: how much is free, what is held by whom, and the workers that share it."""

    key: str
    name: str
    host: str
    is_host: bool
    total_bytes: float
    free_bytes: float
    held: tuple[Held, ...]
    workers: tuple[WorkerInfo, ...]
    running: tuple[Running, ...]

    @property
    def others_bytes(self) -> float:
        """What neither is free nor was reported by a worker."""
        return max(0.0, self.total_bytes - self.free_bytes - sum(one.holding.n_bytes for one in self.held))

    def share(self, n_bytes: float) -> float:
        """So many bytes in percent of the card."""
        return round(100 * n_bytes / self.total_bytes, 2) if self.total_bytes else 0.0


@dataclass(frozen=True)
class Overview:
    """All cards and queues at one moment. `median_error_s` is by how much `n_sayings` expected starts were off."""

    cards: tuple[CardNow, ...]
    lines: tuple[Line, ...]
    n_sayings: int = 0
    median_error_s: float | None = None
    homeless: tuple[Running, ...] = ()
    """What runs on a worker that has not been heard of; the sweep takes it back."""

    def said(self) -> dict[str, float]:
        """By job, in how many seconds it is expected to start, of those of which something is said."""
        return {
            one.job.id: one.start.in_s for line in self.lines for one in line.waiting if one.job.id and one.start.in_s
        }


def overview(store: Store, settings: Settings, who: Who) -> tuple[Overview, frozenset[str]]:
    """Everything as `who` may see it; and the jobs of which it was said before when they will start."""
    seen = store.standings(MOST_SHOWN)
    workers, holdings = store.workers(), store.holdings()
    took = store.durations({(one.kind, one.load_key) for one in (*seen.running, *seen.waiting)})
    running = [_running(one, who, took.get((one.kind, one.load_key))) for one in seen.running]
    shown = {one.id: _shown(one, who) for one in seen.running}
    unseen = store.hidden_artifacts(who, (one.model for one in holdings))
    held = [_held(one, shown, unseen) for one in holdings]
    hidden = {one.model for one, as_seen in zip(holdings, held, strict=True) if as_seen.is_private}
    lines = _Lines(workers, seen.running, took, who, settings.most_running, hidden)
    by_queue: dict[str, list[Standing]] = defaultdict(list)
    for one in seen.waiting:
        by_queue[one.queue].append(one)
    said = store.said_and_waited()
    known = {one.id for one in workers}
    found = Overview(
        cards=tuple(_cards(workers, held, running)),
        lines=tuple(lines.line(queue, by_queue[queue], seen.n_waiting.get(queue, 0)) for queue in QUEUES),
        n_sayings=len(said),
        median_error_s=median_error_s(said),
        homeless=tuple(one for one in running if one.worker not in known),
    )
    return found, frozenset(one.id for one in seen.waiting if one.is_expected)


def seen_holdings(holdings: Sequence[Holding], store: Store, who: Who) -> list[Holding]:
    """The same without the name of a model that none but private jobs of others use or made, and without their ids."""
    if who.is_administrator or not holdings:
        return list(holdings)
    hidden = store.hidden_artifacts(who, (one.model for one in holdings))
    running = store.standings(0).running if any(one.users for one in holdings) else ()
    shown = {one.id: _shown(one, who) for one in running}
    return [_held(one, shown, hidden).holding for one in holdings]


@dataclass(frozen=True)
class Nobody:
    """Why no worker takes a job, in words that go on a sentence, and what can be done."""

    reason: str
    hint: str


def why_nobody_takes(queue: str, workers: Sequence[WorkerInfo]) -> Nobody | None:
    """Why no worker takes a job of a queue; None where one does."""
    of_queue = [one for one in workers if one.queue == queue]
    if not of_queue:
        way = "Start one with `workbench worker`, or everything with `workbench up`."
        return Nobody(f"no worker runs that takes {queue} jobs", way)
    if all(one.is_drain_requested for one in of_queue):
        way = "An administrator lets one in again: `workbench drain WORKER --undo`."
        return Nobody(f"every worker that takes {queue} jobs is being drained", way)
    return None


def _shown(one: Standing, who: Who) -> Shown:
    if not may_see_of(who, one.owner, one.visibility):
        return Shown("", one.owner)
    return Shown(one.id, one.owner, one.kind, one.name, one.model, one.owner == who.name)


def _running(one: Standing, who: Who, took: Took | None) -> Running:
    shown = _shown(one, who)
    progress = None if shown.is_private else one.progress
    return Running(shown, one.worker or "", one.queue, one.since, _left_s(one, took), progress, one.is_cancel_requested)


def _left_s(one: Standing, took: Took | None) -> float | None:
    """As it says itself, else from those before it."""
    if one.progress and one.progress.eta_s is not None:
        return one.progress.eta_s
    return took.left_s(one.since_s) if took else None


def _held(one: Holding, shown: Mapping[str, Shown], hidden: Collection[str]) -> Held:
    users = tuple(shown[user] for user in one.users if user in shown)
    is_private = one.model in hidden or (bool(users) and all(user.is_private for user in users))
    mine = replace(one, users=tuple(user.id for user in users if user.id))
    if is_private:
        mine = replace(mine, model=PRIVATE_MODEL, revision=None, precision="", attention="")
    return Held(mine, users, is_private)


def _cards(workers: Sequence[WorkerInfo], held: Sequence[Held], running: Sequence[Running]) -> Iterator[CardNow]:
    by_card: dict[str, list[WorkerInfo]] = defaultdict(list)
    for worker in workers:
        by_card[worker.card or worker.id].append(worker)
    for key, there in sorted(by_card.items()):
        ids = {one.id for one in there}
        yield CardNow(
            key=key,
            name="Memory" if there[0].memory_kind == "host" else there[0].device,
            host=there[0].host,
            is_host=there[0].memory_kind == "host",
            total_bytes=there[0].memory_total,
            free_bytes=min(one.memory_free for one in there),
            held=tuple(one for one in held if one.holding.worker in ids),
            workers=tuple(there),
            running=tuple(one for one in running if one.worker in ids),
        )


@dataclass
class _Lines:
    """What is needed to say of each queue who is next, why the others wait, and until when."""

    workers: Sequence[WorkerInfo]
    running: Sequence[Standing]
    took: Mapping[tuple[str, str], Took]
    who: Who
    most_running: int
    hidden_models: Iterable[str] = field(default_factory=tuple)

    def line(self, queue: str, waiting: Sequence[Standing], n_waiting: int) -> Line:
        """One queue."""
        taking = [one for one in self.workers if one.queue == queue and not one.is_drain_requested]
        n_places = sum(one.slots for one in taking)
        running = [one for one in self.running if one.queue == queue]
        places = [self._occupied(one, {worker.id for worker in taking}) for one in running]
        starts = expected_starts(
            [self._waiter(one) for one in waiting], places, n_places, self.most_running, MOST_SHOWN
        )
        by_id, nobody = {one.id: one for one in waiting}, why_nobody_takes(queue, self.workers)
        of_owner = Counter(one.owner for one in running)
        shown = []
        for ahead, start in enumerate(starts):
            one = by_id[start.id]
            start = Start(start.id, None) if nobody else start
            reason = nobody.reason if nobody else self._reason(one, of_owner[one.owner], ahead, len(running), n_places)
            shown.append(Waits(_shown(one, self.who), reason, one.since, start))
        return Line(queue, n_waiting, len(running), n_places, tuple(shown))

    def _occupied(self, one: Standing, taking: set[str]) -> Occupied:
        took = self.took.get((one.kind, one.load_key))
        is_own_word = one.progress is not None and one.progress.eta_s is not None
        n_runs = took.n if took and not is_own_word else 0
        return Occupied(one.owner, (one.kind, one.load_key), _left_s(one, took), n_runs, one.worker in taking)

    def _waiter(self, one: Standing) -> Waiter:
        sort = one.kind, one.load_key
        return Waiter(one.id, one.owner, sort, one.priority, one.turn, self.took.get(sort), bool(one.waiting_reason))

    def _reason(self, one: Standing, n_of_owner: int, ahead: int, n_running: int, n_places: int) -> str:
        if self.most_running and n_of_owner >= self.most_running:
            return at_most_words("You" if one.owner == self.who.name else one.owner, n_of_owner)
        if one.waiting_reason:
            return f"waits for memory: {self._without_hidden(one)}"
        if ahead:
            return f"{ahead} {'job' if ahead == 1 else 'jobs'} before it"
        return "next, once a place is free" if n_running >= n_places else "next"

    def _without_hidden(self, one: Standing) -> str:
        if _shown(one, self.who).is_private:
            return "what is in use must end first"
        said = one.waiting_reason
        for model in self.hidden_models:
            said = said.replace(model, PRIVATE_MODEL)
        return said


def wait_words(store: Store, settings: Settings, who: Who) -> str:
    """How long one has to wait, for whoever may submit no more now: an estimate, else how many wait."""
    lines = overview(store, settings, who)[0].lines
    mine = [one.start.in_s for line in lines for one in line.waiting if one.job.is_mine]
    known = [in_s for in_s in mine if in_s is not None]
    if known:
        return f"Your next one is expected to start in {about(min(known))}, an estimate."
    n = sum(line.n_waiting for line in lines)
    return f"{n:,} job{' waits' if n == 1 else 's wait'} in all; how long they take has not been measured yet."


def start_words(start: Start) -> str:
    """When a job is expected to start, marked as the estimate that it is; "" where nothing is known or it is next."""
    if not start.in_s:
        return ""
    runs = f"{start.n_runs} run{'' if start.n_runs == 1 else 's'}" if start.n_runs else "what runs now"
    return f"in {about(start.in_s)}, estimated from {runs}"


def about(seconds: float) -> str:
    """A span of time as roughly as it is known."""
    if seconds < 50:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min"
    hours, minutes = divmod(5 * round(minutes / 5), 60)
    return f"about {hours} h {minutes} min" if minutes else f"about {hours} h"


def at_most_words(whose: str, n_running: int) -> str:
    """That so many jobs of somebody run as may at once: "You" for one's own."""
    verb = "have" if whose == "You" else "has"
    return f"{whose} {verb} {n_running} {'job' if n_running == 1 else 'jobs'} running, the most at once"
