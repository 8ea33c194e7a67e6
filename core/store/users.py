"""Who may sign in, from which browsers they have, and the links by which a password is set."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from core.errors import BadInput, NotFound
from core.models import LinkRow, SessionRow, UserRow, now
from core.store.part import Part


class Role(StrEnum):
    """What somebody may do beside their own."""

    MEMBER = "member"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True)
class User:
    """Somebody who may sign in; `n_sessions` browsers are signed in now. Times are Unix seconds."""

    name: str
    role: Role
    has_password: bool
    created_at: float
    removed_at: float | None
    n_sessions: int = 0


@dataclass(frozen=True)
class Session:
    """A browser that is signed in."""

    id: str
    user: str
    role: Role
    agent: str
    created_at: float
    used_at: float
    expires_at: float


class Users(Part):
    """Writes and reads of users and their sessions. Whoever is removed is found by none of the reads but `users`."""

    def add_user(self, name: str, role: Role) -> None:
        """Make a user without a password.

        Raises:
            BadInput: the name is taken, if only by somebody who was removed.
        """
        with self.database.write() as connection:
            same = select(UserRow.name).where(func.lower(UserRow.name) == name.lower())
            if taken := connection.execute(same).scalar():
                raise BadInput(f"The name {taken} is taken.", "Jobs belong to names, so none is given twice.")
            row = {"name": name, "role": role, "password": None, "created_at": now(), "removed_at": None}
            connection.execute(insert(UserRow).values(**row))

    def users(self) -> list[User]:
        """Everybody who ever was a user, by name."""
        living = SessionRow.expires_at > now()
        n = select(func.count()).where(SessionRow.user == UserRow.name, living).scalar_subquery()
        columns = (UserRow.name, UserRow.role, UserRow.password, UserRow.created_at, UserRow.removed_at, n)
        with self.database.read() as connection:
            rows = connection.execute(select(*columns).order_by(UserRow.name)).all()
        return [
            User(name, Role(role), password is not None, created, removed, n)
            for name, role, password, created, removed, n in rows
        ]

    def user(self, name: str) -> User:
        """Somebody who is a user now.

        Raises:
            NotFound: nobody is by that name.
        """
        found = next((one for one in self.users() if one.name == name and one.removed_at is None), None)
        if found is None:
            raise NotFound(f"There is no user {name}.", "`workbench user list` shows those that there are.")
        return found

    def password_of(self, name: str) -> str | None:
        """The hash of a user's password; None where there is no such user, or no password yet."""
        query = select(UserRow.password).where(UserRow.name == name, UserRow.removed_at.is_(None))
        with self.database.read() as connection:
            return connection.execute(query).scalar()

    def set_password(self, name: str, password: str) -> None:
        """Keep the hash of a user's new password, and end every session and link of theirs.

        Raises:
            NotFound: nobody is by that name.
        """
        with self.database.write() as connection:
            _change(connection, name, password=password)
            _end_all(connection, name)

    def rehash_password(self, name: str, before: str, password: str) -> None:
        """Keep another hash of the same password, unless it was changed meanwhile."""
        same = (UserRow.name == name, UserRow.password == before)
        with self.database.write() as connection:
            connection.execute(update(UserRow).where(*same).values(password=password))

    def set_role(self, name: str, role: Role) -> None:
        """Give a user another role.

        Raises:
            NotFound: nobody is by that name.
        """
        with self.database.write() as connection:
            _change(connection, name, role=role)

    def remove_user(self, name: str) -> None:
        """Let somebody sign in no more; the name stays theirs.

        Raises:
            NotFound: nobody is by that name.
        """
        with self.database.write() as connection:
            _change(connection, name, removed_at=now(), password=None)
            _end_all(connection, name)

    def add_session(self, session_id: str, user: str, agent: str, lasts_s: float) -> None:
        """Keep that a browser is signed in, and forget those whose time is over."""
        with self.database.write() as connection:
            connection.execute(delete(SessionRow).where(SessionRow.expires_at <= now()))
            times = {"created_at": now(), "used_at": now(), "expires_at": now() + lasts_s}
            connection.execute(insert(SessionRow).values(id=session_id, user=user, agent=agent[:200], **times))

    def session(self, session_id: str) -> Session | None:
        """A session that has neither ended nor run out."""
        columns = [getattr(SessionRow, name) for name in Session.__dataclass_fields__ if name != "role"]
        living = (SessionRow.expires_at > now(), UserRow.removed_at.is_(None))
        query = select(*columns, UserRow.role).join(UserRow, UserRow.name == SessionRow.user)
        with self.database.read() as connection:
            row = connection.execute(query.where(SessionRow.id == session_id, *living)).first()
        return _session_of(row) if row else None

    def sessions(self, user: str) -> list[Session]:
        """A user's sessions, the last used first."""
        columns = [getattr(SessionRow, name) for name in Session.__dataclass_fields__ if name != "role"]
        query = select(*columns, UserRow.role).join(UserRow, UserRow.name == SessionRow.user)
        mine = query.where(SessionRow.user == user, SessionRow.expires_at > now()).order_by(SessionRow.used_at.desc())
        with self.database.read() as connection:
            return [_session_of(row) for row in connection.execute(mine)]

    def use_session(self, session_id: str, lasts_s: float) -> None:
        """Let a session that is used last longer."""
        used = update(SessionRow).where(SessionRow.id == session_id)
        with self.database.write() as connection:
            connection.execute(used.values(used_at=now(), expires_at=now() + lasts_s))

    def end_session(self, session_id: str) -> None:
        """Let a browser be signed in no more."""
        with self.database.write() as connection:
            connection.execute(delete(SessionRow).where(SessionRow.id == session_id))

    def end_sessions(self, user: str, but: str = "") -> int:
        """Let a user's browsers, but for one, be signed in no more; how many they were."""
        with self.database.write() as connection:
            ended = delete(SessionRow).where(SessionRow.user == user, SessionRow.id != but)
            return connection.execute(ended).rowcount

    def add_link(self, link_id: str, user: str, lasts_s: float) -> None:
        """Keep a link by which a user sets a password; earlier ones of theirs are void."""
        with self.database.write() as connection:
            connection.execute(delete(LinkRow).where(LinkRow.user == user))
            connection.execute(insert(LinkRow).values(id=link_id, user=user, expires_at=now() + lasts_s))

    def linked(self, link_id: str) -> str | None:
        """Whose link it is, as long as it holds."""
        with self.database.read() as connection:
            query = select(LinkRow.user).where(LinkRow.id == link_id, LinkRow.expires_at > now())
            return connection.execute(query).scalar()

    def take_link(self, link_id: str) -> str | None:
        """Whose link it is, as long as it holds; it is void from now on."""
        with self.database.write() as connection:
            taken = delete(LinkRow).where(LinkRow.id == link_id, LinkRow.expires_at > now()).returning(LinkRow.user)
            return connection.execute(taken).scalar()


def _change(connection: Connection, name: str, **values: Any) -> None:
    """Set values of somebody who is a user now."""
    changed = update(UserRow).where(UserRow.name == name, UserRow.removed_at.is_(None)).values(**values)
    if connection.execute(changed).rowcount == 0:
        raise NotFound(f"There is no user {name}.", "`workbench user list` shows those that there are.")


def _end_all(connection: Connection, name: str) -> None:
    """Void every session and link of somebody."""
    connection.execute(delete(SessionRow).where(SessionRow.user == name))
    connection.execute(delete(LinkRow).where(LinkRow.user == name))


def _session_of(row: Any) -> Session:
    return Session(**{**row._mapping, "role": Role(row.role)})
