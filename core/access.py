"""Who may do what: the one rule that every page, command, socket and file asks."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import NotAllowed, NotFound
from core.values import Job, Visibility


@dataclass(frozen=True)
class Who:
    """The one who asks; `source` is whence, as something to count by, where strangers ask."""

    name: str
    is_administrator: bool = False
    source: str | None = None


def may_see(who: Who, job: Job) -> bool:
    """A job is its owner's; the team sees it too unless it is private."""
    return may_see_of(who, job.owner, job.visibility)


def may_see_of(who: Who, owner: str, visibility: Visibility) -> bool:
    """The same of whatever has an owner."""
    return who.is_administrator or owner == who.name or visibility is Visibility.TEAM


def may_change(who: Who, job: Job) -> bool:
    """Only its owner and an administrator cancel, delete or rename a job."""
    return who.is_administrator or job.owner == who.name


def check_seen(who: Who, job: Job) -> Job:
    """`job` itself, where `who` may see it.

    Raises:
        NotFound: said of what one may not see, so that nobody learns that it exists.
    """
    if not may_see(who, job):
        raise NotFound(f"There is no job {job.id}.")
    return job


def check_changed(who: Who, job: Job) -> Job:
    """`job` itself, where `who` may change it.

    Raises:
        NotFound: `who` may not even see it.
        NotAllowed: `who` sees it, but it is somebody else's.
    """
    if not may_change(who, check_seen(who, job)):
        raise NotAllowed(f"Job {job.id} belongs to {job.owner}: only its owner may change it.")
    return job


def check_may_manage(who: Who) -> None:
    """Refuse what is done to cards and workers, which everybody shares.

    Raises:
        NotAllowed: `who` is no administrator.
    """
    if not who.is_administrator:
        raise NotAllowed("Only an administrator decides what workers hold and take.", "Ask one of yours.")
