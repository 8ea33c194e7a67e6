"""What can be asked of the store."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from sqlalchemy import ColumnElement, and_, func, not_, or_, select

from core.access import Who
from core.errors import NotFound
from core.ids import is_id
from core.models import ArtifactRow, AttemptRow, EventRow, JobRow, TurnRow
from core.states import State
from core.store.part import Part
from core.store.rows import whole_jobs
from core.store.waiting import waiting
from core.values import ArtifactRef, Event, Job, Visibility


@dataclass(frozen=True)
class JobFilter:
    """Which jobs are meant: an empty field does not restrict. `words` are looked for in prompts, answers and names."""

    kind: str = ""
    state: str = ""
    owner: str = ""
    model: str = ""
    words: str = ""


@dataclass(frozen=True)
class AttemptInfo:
    """One execution of a job."""

    attempt: int
    worker: str
    device: str
    started_at: float
    ended_at: float | None
    outcome: str | None
    traceback: str | None


@dataclass(frozen=True)
class Place:
    """Where a job stands in its queue: `ahead` jobs are taken before it, and `running` ones hold the worker now.

    Of those `of_owner` are of the same owner.
    """

    ahead: int
    running: int
    of_owner: int = 0


class Queries(Part):
    """Reads. Each is one consistent view."""

    def job(self, job_id: str) -> Job:
        """One job with all that hangs on it.

        Raises:
            NotFound: there is no such job.
        """
        with self.database.read() as connection:
            row = connection.execute(select(JobRow.__table__).where(JobRow.id == job_id)).first()
            if row is None:
                raise NotFound(f"There is no job {job_id}.")
            return whole_jobs(connection, [row])[0]

    def jobs(self, who: Who, wanted: JobFilter, *, before: str = "", limit: int = 50) -> list[Job]:
        """Jobs that `who` may see, newest first, `before` an id: the next page starts after the last one's."""
        query = select(JobRow.__table__).where(_visible(who), *_matches(wanted)).order_by(JobRow.id.desc()).limit(limit)
        if before:
            query = query.where(JobRow.id < before)
        with self.database.read() as connection:
            return whole_jobs(connection, connection.execute(query).all())

    def count_jobs(self, who: Who, wanted: JobFilter) -> int:
        """How many jobs there are that `who` may see."""
        with self.database.read() as connection:
            return connection.execute(
                select(func.count(JobRow.id)).where(_visible(who), *_matches(wanted))
            ).scalar_one()

    def unfinished(self, owner: str) -> list[str]:
        """The ids of somebody's jobs that have not ended, the newest first; those of a pipeline go with it."""
        states = (State.QUEUED, State.RUNNING, State.HELD)
        mine = (JobRow.owner == owner, JobRow.state.in_(states), JobRow.pipeline_id.is_(None))
        with self.database.read() as connection:
            return list(connection.execute(select(JobRow.id).where(*mine).order_by(JobRow.id.desc())).scalars())

    def ids_like(self, ending: str) -> list[str]:
        """The ids that end so, at most twenty, since some may not be seen: people type the last characters of an id."""
        with self.database.read() as connection:
            return list(connection.execute(select(JobRow.id).where(JobRow.id.endswith(ending)).limit(20)).scalars())

    def events(self, job_id: str) -> list[Event]:
        """What happened to a job, in order."""
        columns = (EventRow.seq, EventRow.at, EventRow.kind, EventRow.attempt, EventRow.data)
        with self.database.read() as connection:
            rows = connection.execute(select(*columns).where(EventRow.job_id == job_id).order_by(EventRow.seq))
            return [Event.model_validate(dict(row._mapping)) for row in rows]

    def attempts(self, job_id: str) -> list[AttemptInfo]:
        """The executions of a job, in order."""
        columns = [getattr(AttemptRow, name) for name in AttemptInfo.__dataclass_fields__]
        with self.database.read() as connection:
            rows = connection.execute(select(*columns).where(AttemptRow.job_id == job_id).order_by(AttemptRow.attempt))
            return [AttemptInfo(*row) for row in rows]

    def place(self, job_id: str) -> Place | None:
        """Where a queued job stands; None for one that does not wait."""
        with self.database.read() as connection:
            head = select(JobRow.queue, JobRow.owner).where(JobRow.id == job_id, JobRow.state == State.QUEUED)
            found = connection.execute(head).first()
            if found is None:
                return None
            queue, owner = found
            columns = (JobRow.id, JobRow.owner, JobRow.priority, func.coalesce(TurnRow.number, 0))
            rows = connection.execute(waiting(queue, *columns).order_by(JobRow.id)).all()
            busy = select(JobRow.owner).where(JobRow.queue == queue, JobRow.state == State.RUNNING)
            running = connection.execute(busy).scalars().all()
        return Place(in_turns(tuple(row) for row in rows).index(job_id), len(running), running.count(owner))

    def models_used(self, who: Who) -> list[str]:
        """The models that the jobs `who` may see were made with."""
        query = select(JobRow.model).distinct().where(_visible(who), JobRow.model != "").order_by(JobRow.model)
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def artifact(self, artifact_id: str) -> tuple[str, ArtifactRef]:
        """The job that made an artifact, and the artifact.

        Raises:
            NotFound: there is no such artifact.
        """
        with self.database.read() as connection:
            row = connection.execute(select(ArtifactRow.__table__).where(ArtifactRow.id == artifact_id)).first()
        if row is None:
            raise NotFound(f"There is no artifact {artifact_id}.")
        return row.job_id, ArtifactRef(id=row.id, kind=row.kind, name=row.name, n_bytes=row.n_bytes)

    def hidden_artifacts(self, who: Who, among: Iterable[str]) -> frozenset[str]:
        """Those of the names that are ids of what jobs made that `who` may not see."""
        ids = {one for one in among if is_id(one)}
        if not ids or who.is_administrator:
            return frozenset()
        made = select(ArtifactRow.id).join(JobRow, JobRow.id == ArtifactRow.job_id)
        with self.database.read() as connection:
            return frozenset(connection.execute(made.where(ArtifactRow.id.in_(ids), not_(_visible(who)))).scalars())

    def artifact_ids(self) -> set[str]:
        """The ids of all artifacts: a folder without its row is rubbish."""
        with self.database.read() as connection:
            return set(connection.execute(select(ArtifactRow.id)).scalars())


def in_turns(rows: Iterable[tuple[str, str, int, int]]) -> list[str]:
    """The order in which `claim` will take queued jobs, were nothing else submitted.

    Args:
        rows: (id, owner, priority, number of the claim that last took a job of that owner), oldest first.
    """
    queues: dict[int, dict[str, deque[str]]] = defaultdict(lambda: defaultdict(deque))
    turn: dict[str, int] = {}
    for job_id, owner, priority, number in rows:
        queues[priority][owner].append(job_id)
        turn[owner] = number
    order: list[str] = []
    later = count(start=max(turn.values(), default=0) + 1)
    for priority in sorted(queues, reverse=True):
        owners = queues[priority]
        while owners:
            owner = min(owners, key=lambda name: (turn[name], owners[name][0]))
            order.append(owners[owner].popleft())
            turn[owner] = next(later)
            if not owners[owner]:
                del owners[owner]
    return order


def _visible(who: Who) -> ColumnElement[bool]:
    """The rule of `core.access.may_see` as SQL."""
    if who.is_administrator:
        return JobRow.id.is_not(None)
    return or_(JobRow.owner == who.name, JobRow.visibility == Visibility.TEAM)


def _matches(wanted: JobFilter) -> list[ColumnElement[bool]]:
    exact = [
        column == value
        for column, value in (
            (JobRow.kind, wanted.kind),
            (JobRow.state, wanted.state),
            (JobRow.owner, wanted.owner),
            (JobRow.model, wanted.model),
        )
        if value
    ]
    texts = (JobRow.words, JobRow.name, JobRow.note, JobRow.model, JobRow.id)
    found = [or_(*(text.icontains(word, autoescape=True) for text in texts)) for word in wanted.words.split()]
    return [*exact, and_(*found)] if found else list(exact)
