"""Who may begin now: what waits is held against what is free, and each that must wait is told why.

A rule over plain values, so that it can be read and tested alone; the worker carries out what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from core.ids import is_id
from core.memory.formula import size
from core.memory.needs import UNBOUNDED, Needs
from core.store.holdings import Holding
from core.store.waiting import HeldUp, Take, Terms, Waiting
from core.values import Trouble

Alternatives = Callable[[], Sequence[tuple[str, Needs]]]


@dataclass(frozen=True)
class Wanted:
    """What one load key means here: the key of the model in memory, and what it needs, at other precisions too."""

    holding_key: str
    model: str
    precision: str
    needs: Needs
    alternatives: Alternatives = tuple


@dataclass(frozen=True)
class Memory:
    """A card's memory as one process sees it: what it may use at most, what is free now, and who holds what."""

    budget_bytes: int
    free_bytes: int
    own: tuple[Holding, ...] = ()
    others: tuple[Holding, ...] = ()
    largest_elsewhere_bytes: int = 0
    """What the largest other worker that takes jobs of this queue and sees the same files may use."""
    most_waiting: int = UNBOUNDED
    """How many jobs may sit and wait for one model that is being loaded; the other threads serve what is there."""

    @property
    def idle(self) -> tuple[Holding, ...]:
        """Own holdings that may go, the last used last."""
        return tuple(sorted((one for one in self.own if one.is_idle), key=lambda one: one.used_at))

    @property
    def everybodys(self) -> tuple[Holding, ...]:
        """All that is held of the card."""
        return self.own + self.others


@dataclass(frozen=True)
class Case:
    """One load key against the memory."""

    waiting: Waiting
    wanted: Wanted
    memory: Memory

    @property
    def held(self) -> Holding | None:
        """Its model in memory, or on the way there."""
        return next((held for held in self.memory.own if held.key == self.wanted.holding_key), None)

    @property
    def idle(self) -> tuple[Holding, ...]:
        """What may go for it."""
        return tuple(held for held in self.memory.idle if held.key != self.wanted.holding_key)

    @property
    def is_crowded(self) -> bool:
        """Whether so many jobs wait for this very load that one more would take the thread of another model's."""
        return self.held is not None and self.held.is_loading and len(self.held.users) >= self.memory.most_waiting

    @property
    def most_now(self) -> int:
        """The most tokens of a job that fits without letting anything go; -1 where none does."""
        return self._most(self.memory.free_bytes)

    @property
    def most_later(self) -> int:
        """The same once all that is idle has gone."""
        return self._most(self.memory.free_bytes + sum(held.n_bytes for held in self.idle))

    @property
    def most_ever(self) -> int:
        """The same with the whole card."""
        return self.wanted.needs.most_tokens_loaded(self.memory.budget_bytes)

    @property
    def most_elsewhere(self) -> int:
        """The same with the whole of the largest card of another worker."""
        return self.wanted.needs.most_tokens_loaded(self.memory.largest_elsewhere_bytes)

    @property
    def comes_free_by_itself(self) -> bool:
        """Whether there will be room once the jobs that run have ended: what is pinned, and others hold, stays."""
        goes = sum(held.n_bytes + held.work_bytes for held in self.memory.everybodys if not held.is_pinned)
        return self.needed(self.waiting.most_tokens) <= self.memory.free_bytes + goes

    def needed(self, n_tokens: int) -> int:
        """Bytes that must be free for a job with so many tokens."""
        needs = self.wanted.needs
        return needs.work_bytes(n_tokens) if self.held else needs.whole_bytes(n_tokens)

    def let_go(self, n_tokens: int) -> list[str]:
        """The keys of what goes before such a job begins: the longest idle first, and no more than it takes."""
        gone, missing = [], self.needed(n_tokens) - self.memory.free_bytes
        for held in self.idle:
            if missing <= 0:
                break
            gone.append(held.key)
            missing -= held.n_bytes
        return gone

    def _most(self, free_bytes: int) -> int:
        needs = self.wanted.needs
        return needs.most_tokens(free_bytes) if self.held else needs.most_tokens_loaded(free_bytes)


@dataclass
class Plan:
    """What a worker does now."""

    takes: list[Take] = field(default_factory=list)
    cases: dict[str, Case] = field(default_factory=dict)
    waits: list[tuple[str, int, str]] = field(default_factory=list)
    """(load key, tokens above which it is meant, the reason)."""
    ask: list[Holding] = field(default_factory=list)
    """Idle holdings of other processes, which are asked to go."""
    before: HeldUp | None = None
    before_whom: tuple[int, str] = (0, "")
    """Priority and id of the oldest of those that `before` means."""

    def terms(self, patience_s: float) -> Terms:
        """What may be claimed."""
        return Terms(tuple(self.takes), patience_s, self.before)

    def why_never(self, load_key: str, n_tokens: int) -> Trouble | None:
        """Why a job that was claimed cannot run here whatever goes."""
        case = self.cases.get(load_key)
        return _never(case, n_tokens) if case and n_tokens > max(case.most_ever, case.most_later) else None


def plan(
    waiting: Sequence[Waiting],
    wanted: Mapping[str, Wanted],
    memory: Memory,
    patience_s: float,
    elsewhere: frozenset[str] = frozenset(),
    makes_room: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Decide for each load key that waits, the oldest first.

    Args:
        wanted: by load key; one that is not in it needs no memory, or fails in its own words once it runs.
        patience_s: a job that has waited longer holds back those that came after it, where it waits for memory in use.
        elsewhere: keys whose model another worker has and this one has not.
        makes_room: why jobs of a key are not begun, though there be memory.
    """
    made = Plan()
    for one in waiting:
        if reason := makes_room.get(one.load_key):
            made.waits.append((one.load_key, -1, reason))
            continue
        if one.load_key in elsewhere:
            continue
        known = wanted.get(one.load_key)
        if known is None:
            made.takes.append(Take(one.load_key, UNBOUNDED, is_ready=True))
        else:
            _decide(made, Case(one, known, memory), patience_s)
    return made


def _decide(made: Plan, case: Case, patience_s: float) -> None:
    one = case.waiting
    made.cases[one.load_key] = case
    if case.is_crowded:
        made.waits.append((one.load_key, -1, f"waiting until {case.wanted.model} is loaded"))
        return
    above = max(case.most_ever, case.most_later, case.most_elsewhere)  # beyond that it is taken only to be told so
    is_ready = case.most_now >= min(one.most_tokens, above)
    made.takes.append(Take(one.load_key, case.most_later, is_ready, above))
    if min(one.most_tokens, above) > case.most_later:
        made.waits.append((one.load_key, case.most_later, _reason(case)))
        made.ask += [held for held in case.memory.others if held.is_idle and not held.is_release_requested]
        if one.waits_s > patience_s and case.comes_free_by_itself:
            _hold_back(made, one, case.most_later)


def _hold_back(made: Plan, one: Waiting, above_tokens: int) -> None:
    """The first of those that wait too long decides; of a higher priority counts before older."""
    if made.before is None or (-one.priority, one.oldest) < (-made.before_whom[0], made.before_whom[1]):
        made.before, made.before_whom = HeldUp(one.load_key, above_tokens), (one.priority, one.oldest)


def _reason(case: Case) -> str:
    memory = case.memory
    said = f"needs {_rough(case.needed(case.waiting.most_tokens))}, {_rough(max(memory.free_bytes, 0))} free"
    users = sorted({user for held in memory.everybodys for user in held.users if is_id(user)})
    if users:
        more = f" and {len(users) - 3} more" if len(users) > 3 else ""
        return f"{said}: waiting for job {', '.join(user[-6:] for user in users[:3])}{more}"
    if loading := next((held for held in memory.everybodys if held.is_loading), None):
        return f"{said}: waiting until {loading.model} is loaded"
    if idle := next((held for held in memory.others if held.is_idle), None):
        return f"{said}: waiting until {idle.model} is let go"
    if pinned := next((held for held in memory.everybodys if held.is_pinned), None):
        return f"{said}: {pinned.model} is pinned"
    return f"{said}: other programs hold the rest"


def _never(case: Case, n_tokens: int) -> Trouble:
    wanted, budget = case.wanted, case.memory.budget_bytes
    message = f"{wanted.model} in {wanted.precision} needs {size(wanted.needs.whole_bytes(n_tokens))}"
    message += f" with {n_tokens:,} tokens" if n_tokens else ""
    message += f", and this device has {size(budget)}."
    fits = [(name, needs.whole_bytes(n_tokens)) for name, needs in wanted.alternatives()]
    fits = [(name, needed) for name, needed in fits if needed <= budget]
    ways = [f"{fits[0][0]} would need {size(fits[0][1])}."] if fits else []
    if case.most_ever > 0:
        ways.append(f"In {wanted.precision} at most {case.most_ever:,} tokens fit.")
    ways = ways or ["It fits in no precision that runs here: take a smaller model or a larger card."]
    return Trouble(code="out_of_memory", message=message, hint=" ".join(ways))


def _rough(n_bytes: int) -> str:
    """To a tenth of a GB: a reason that changed with every breath of the machine would be written each time."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else size(round(n_bytes, -7))
