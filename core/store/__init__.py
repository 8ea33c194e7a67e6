"""The store: the only writer. One method is one transaction; a state and its event are written together."""

from __future__ import annotations

from core.store.claims import Claims
from core.store.cleaning import Cleaning
from core.store.database import Database
from core.store.durations import Durations
from core.store.holdings import Holdings
from core.store.models import Models
from core.store.pipelines import Pipelines
from core.store.queries import Queries
from core.store.standing import StandingReads
from core.store.sweeps import Sweeps
from core.store.users import Users
from core.store.waiting import Waitings
from core.store.workers import Workers

__all__ = ["Store"]


class Store(
    Pipelines, Waitings, Claims, Cleaning, Sweeps, Workers, Holdings, Models, Users, Durations, StandingReads, Queries
):
    """Everything that can be asked of or written to the database, part by part in the files of this folder."""

    @classmethod
    def open(cls, url: str) -> Store:
        """A store on the database at `url` (sqlite:/// or postgresql+psycopg://). Connects at first use."""
        return cls(Database(url))

    def close(self) -> None:
        """Give every connection back."""
        self.database.close()
