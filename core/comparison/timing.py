"""The second pass carried out: processes brought together, repeats taken, and one that fails left to itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence

from core.comparison.prospects import Prospect
from core.comparison.second_pass import (
    DECODE,
    FIRST_TOKEN,
    Group,
    Ratio,
    Round,
    groups_of,
    measure,
    order_in_words,
    with_speeds,
)
from core.comparison.stable import Stable
from core.comparison.subject import Subject, SubjectTrouble
from core.comparison.values import VariantResult
from core.values import Trouble

Results = MutableMapping[str, VariantResult]


class Fault(Exception):
    """One variant of a group could not go on."""

    def __init__(self, name: str, trouble: Trouble) -> None:
        super().__init__(name)
        self.name = name
        self.trouble = trouble


class Timing:
    """The speeds of the variants that were measured.

    Args:
        reference: the name of the one that ratios are of.
        n_tokens: how many each decode makes.
        say: hears what is done.
    """

    def __init__(
        self,
        stable: Stable,
        prospects: Sequence[Prospect],
        reference: str,
        repeats: int,
        n_tokens: int,
        say: Callable[[str], None],
    ) -> None:
        self._stable = stable
        self._prospects = {one.name: one for one in prospects}
        self._reference = reference
        self._repeats = repeats
        self._n_tokens = n_tokens
        self._say = say
        self.token_bytes: dict[str, int] = {}
        """What a token reads, of those that had to be loaded once more."""

    def plan(self, names: Sequence[str]) -> tuple[Group, ...]:
        """Who takes turns with whom."""
        fit = lambda some: self._stable.fit_together([self._prospects[name] for name in some])  # noqa: E731
        return groups_of(names, self._reference, fit)

    def in_words(self, groups: Sequence[Group]) -> str:
        """How the speeds are taken."""
        knows = all(one.peak_bytes for group in groups for one in map(self._prospects.__getitem__, group.names))
        return order_in_words(groups, knows_bytes=knows)

    def take(self, groups: Sequence[Group], results: Results, keep: Callable[[], None], ratio: Ratio) -> None:
        """Take them. What fails in company is tried once more alone, and then says why it has no speed.

        Raises:
            SubjectStopped: asked to stop meanwhile.
        """
        again: dict[str, str] = {}  # with what was said of it before
        for group in groups:
            names = group.names
            while names:
                fault = self._try(Group(names), results, ratio)
                keep()
                if fault is None:
                    break
                names = tuple(name for name in names if name != fault.name)
                if len(group.names) > 1:
                    again.setdefault(fault.name, results[fault.name].reason)
                results[fault.name] = _without_speed(results[fault.name], fault.trouble)
        for name, reason in again.items():
            self._stable.close()
            if self._try(Group((name,)), results, ratio) is None:
                said = f"{reason} Its speed was taken alone.".strip()
                results[name] = results[name].model_copy(update={"reason": said})
            keep()

    def _try(self, group: Group, results: Results, ratio: Ratio) -> Fault | None:
        try:
            self._time(group, results, ratio)
        except Fault as fault:
            self._stable.let_go(fault.name)
            return fault
        return None

    def _time(self, group: Group, results: Results, ratio: Ratio) -> None:
        subjects = {name: self._subject(name, group) for name in group.names}

        def take(name: str, what: str, size: int) -> float:
            self._say(f"speed: {name}")
            given = {"batch": size, "n_tokens": self._n_tokens} if what == DECODE else {"context": size}
            try:
                return float(subjects[name].ask(what, **given))
            except SubjectTrouble as error:
                raise Fault(name, error.trouble) from error

        rounds = list(_rounds([results[name] for name in group.names]))
        speeds = measure(rounds, self._repeats, self._reference, take, ratio)
        for name in group.names:
            results[name] = with_speeds(results[name], speeds)

    def _subject(self, name: str, group: Group) -> Subject:
        try:
            subject, facts = self._stable.get(self._prospects[name], beside=group.names)
        except SubjectTrouble as error:
            raise Fault(name, error.trouble) from error
        if facts and facts.get("token_bytes"):  # loaded once more: after a lost worker, or where not all fit together
            self.token_bytes[name] = facts["token_bytes"]
        return subject


def _rounds(variants: Sequence[VariantResult]) -> Iterator[Round]:
    """Each measure and size, with those that could do it."""
    contexts = dict.fromkeys(each.context for one in variants for each in one.prefill)
    batches = dict.fromkeys(each.batch for one in variants for each in one.decode)
    for context in contexts:
        names = [one.name for one in variants if any(p.context == context and not p.why_not for p in one.prefill)]
        yield Round(FIRST_TOKEN, context, tuple(names))
    for batch in batches:
        names = [one.name for one in variants if any(d.batch == batch and not d.why_not for d in one.decode)]
        yield Round(DECODE, batch, tuple(names))


def _without_speed(one: VariantResult, trouble: Trouble) -> VariantResult:
    if one.tokens_per_s is not None:
        return one
    return one.model_copy(update={"reason": f"{one.reason} Speed: {trouble.message}".strip()})
