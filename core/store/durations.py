"""How long jobs took, and how long some were said to wait: what an expected start is made of, and its error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import Float, bindparam, select, update

from core.expected import Sort, Took
from core.models import now
from core.states import State
from core.store.part import JOBS, Part

MOST_RUNS = 50
LOOKED_AT = 500  # the last so many of a kind, whatever they loaded: a bound on what one look costs
MOST_SAID = 200


class Durations(Part):
    """Reads over jobs that ended well at their first attempt, and what was said of those that wait."""

    def durations(self, wanted: Collection[Sort]) -> dict[Sort, Took]:
        """By kind and load key, how long the last runs took; those of which none has ended well are not in it."""
        keys: dict[str, set[str]] = defaultdict(set)
        for kind, load_key in wanted:
            keys[kind].add(load_key)
        return {sort: took for kind, of_kind in keys.items() for sort, took in self._of_kind(kind, of_kind).items()}

    def _of_kind(self, kind: str, load_keys: Collection[str]) -> dict[Sort, Took]:
        columns = (JOBS.c.load_key, JOBS.c.attempt, JOBS.c.started_at, JOBS.c.finished_at)
        ended = select(*columns).where(JOBS.c.kind == kind, JOBS.c.state == State.SUCCEEDED)
        found: dict[str, list[float]] = defaultdict(list)
        with self.database.read() as connection:
            for load_key, attempt, started_at, finished_at in connection.execute(
                ended.order_by(JOBS.c.id.desc()).limit(LOOKED_AT)
            ):
                # one that was interrupted and went on did only a part of its work at its last attempt
                if load_key in load_keys and attempt == 1 and started_at is not None and finished_at is not None:
                    found[load_key].append(max(finished_at - started_at, 0.0))
        return {(kind, load_key): Took.of(runs[:MOST_RUNS]) for load_key, runs in found.items()}

    def say_expected(self, starts_s: Mapping[str, float]) -> None:
        """Keep when each of these jobs was said to start, in seconds from now; what is said first of a job stands."""
        untold = (JOBS.c.id == bindparam("job"), JOBS.c.state == State.QUEUED, JOBS.c.expected_at.is_(None))
        said = update(JOBS).where(*untold)  # type: ignore[arg-type]
        said = said.values(expected_at=now() + bindparam("in_s", type_=Float), expected_from=now())
        if starts_s:
            with self.database.write() as connection:
                connection.execute(said, [{"job": job, "in_s": in_s} for job, in_s in sorted(starts_s.items())])

    def said_and_waited(self) -> list[tuple[float, float]]:
        """Of the last jobs that were said to start some time: in how many seconds, and in how many they did."""
        columns = (JOBS.c.expected_at, JOBS.c.expected_from, JOBS.c.started_at)
        started = (JOBS.c.expected_at.is_not(None), JOBS.c.started_at.is_not(None))
        query = select(*columns).where(*started).order_by(JOBS.c.expected_at.desc()).limit(MOST_SAID)
        with self.database.read() as connection:
            return [(at - since, began - since) for at, since, began in connection.execute(query)]
