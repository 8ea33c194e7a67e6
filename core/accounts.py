"""Signing in: passwords, the tokens of browsers and of one-time links, and what slows a guesser down.

Passwords are kept as Argon2id hashes. A token is 256 random bits; the store has only its hash, keyed by the secret of
the installation, so that neither a copy of the database nor a look into it lets anybody in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.access import Who
from core.errors import BadInput, NotAllowed
from core.settings import Settings
from core.store import Store
from core.store.users import Role, Session

DAY_S = 86_400.0
LINK_DAYS = 3
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1000
REFRESH_S = 3600.0
AT_ONCE = 2  # each takes 64 MiB while it is hashed
FREE_TRIES = 5
LONGEST_PAUSES_S = {"name": 60.0, "address": 900.0}  # of a name: whoever knows it must not lock its owner out
MOST_REMEMBERED = 10_000
FIRST = "admin"
WRONG = "This name and this password do not belong together."


@dataclass(frozen=True)
class SignedIn:
    """A browser that is signed in: what its cookie says, and who it is."""

    token: str
    who: Who


class Accounts:
    """The accounts of one installation. Hashing takes tenths of a second: call it in a thread."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._store = store
        self._hashing = threading.BoundedSemaphore(AT_ONCE)
        self._brake = Brake(clock)

    @cached_property
    def _hasher(self) -> PasswordHasher:
        return PasswordHasher()

    @cached_property
    def _nobody(self) -> str:
        """What the password of somebody who is not there is held against, so that it takes as long."""
        return self._hasher.hash(secrets.token_hex())

    def sign_in(self, name: str, password: str, agent: str = "", address: str = "") -> SignedIn:
        """A new session for whoever knows the password.

        Raises:
            NotAllowed: name and password do not belong together, or there were too many tries.
        """
        subjects = (f"name {name.lower()[:100]}", f"address {address}") if address else (f"name {name.lower()[:100]}",)
        self._brake.begin(subjects)
        nobody, kept = self._nobody, self._store.password_of(name[:100])
        if not self._is_right(kept or nobody, password) or kept is None:
            raise NotAllowed(WRONG, "After a few tries each further one has to wait.")
        self._brake.came_in(subjects)
        if self._hasher.check_needs_rehash(kept):
            self._store.rehash_password(name, kept, self._hashed(password))
        return self._session(name, agent)

    def invite(self, name: str, role: Role = Role.MEMBER) -> str:
        """Make a user, and the token of a link by which they set their password.

        Raises:
            BadInput: the name is taken or cannot be one.
        """
        check_name(name)
        self._store.add_user(name, role)
        return self.link(name)

    def link(self, name: str) -> str:
        """The token of a new link by which a user sets a password, once, within three days.

        Raises:
            NotFound: nobody is by that name.
        """
        token = secrets.token_urlsafe(32)
        self._store.add_link(self._id_of(token, "link"), self._store.user(name).name, LINK_DAYS * DAY_S)
        return token

    def linked(self, token: str) -> str | None:
        """Whose link it is; None for one that was used, has run out or never was."""
        return self._store.linked(self._id_of(token, "link"))

    def take_link(self, token: str, password: str, agent: str = "") -> SignedIn:
        """Set the password of whoever was given the link, and sign them in.

        Raises:
            BadInput: the password is too short or too long.
            NotAllowed: the link was used, has run out or never was.
        """
        check_password(password)
        hashed = self._hashed(password)
        user = self._store.take_link(self._id_of(token, "link"))
        if user is None:
            raise NotAllowed("This link has been used or has run out.", "An administrator can give you another one.")
        self._store.set_password(user, hashed)
        return self._session(user, agent)

    def set_password(self, name: str, password: str) -> None:
        """Give a user a password; every browser of theirs signs in anew.

        Raises:
            BadInput: it is too short or too long.
            NotFound: nobody is by that name.
        """
        check_password(password)
        self._store.set_password(name, self._hashed(password))

    def change_password(self, name: str, before: str, password: str, agent: str = "") -> SignedIn:
        """Give a user another password, who knows the one before, and a new session.

        Raises:
            BadInput: it is too short or too long.
            NotAllowed: the one before was another.
        """
        check_password(password)
        subjects = (f"name {name.lower()}",)
        self._brake.begin(subjects)
        if not self._is_right(self._store.password_of(name) or self._nobody, before):
            raise NotAllowed("This is not the password that you had.")
        self._brake.came_in(subjects)
        self._store.set_password(name, self._hashed(password))
        return self._session(name, agent)

    def session(self, token: str) -> Session | None:
        """The session that a cookie is of, as long as it holds; one that is used lasts on."""
        found = self._store.session(self.id_of(token))
        if found and found.expires_at - time.time() < self._lasts_s - REFRESH_S:
            self._store.use_session(found.id, self._lasts_s)
        return found

    def id_of(self, token: str) -> str:
        """By which id the store has the session of a token."""
        return self._id_of(token, "session")

    def sign_out(self, token: str) -> None:
        """End the session that a cookie is of."""
        self._store.end_session(self.id_of(token))

    @property
    def _lasts_s(self) -> float:
        return self._settings.session_days * DAY_S

    def _session(self, name: str, agent: str) -> SignedIn:
        token = secrets.token_urlsafe(32)
        self._store.add_session(self.id_of(token), name, agent, self._lasts_s)
        return SignedIn(token, who_is(name, self._store.user(name).role))

    def _id_of(self, token: str, purpose: str) -> str:
        key = f"{purpose}:{self._settings.secret}".encode()
        return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()

    def _hashed(self, password: str) -> str:
        with self._hashing:
            return self._hasher.hash(password)

    def _is_right(self, kept: str, password: str) -> bool:
        with self._hashing:
            try:
                return self._hasher.verify(kept, password[:LONGEST_PASSWORD])
            except (VerificationError, InvalidHashError):
                return False


class Brake:
    """Slows tries down: after a few failures of a name, or from an address, each next one waits twice as long.

    A try counts as a failure from its beginning, so that many at once are no way around. It counts in this process
    alone: whoever restarts the page forgives.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, subjects: tuple[str, ...]) -> None:
        """Count a try, or refuse one that comes too soon.

        Raises:
            NotAllowed: it says how long to wait.
        """
        with self._lock:
            wait_s = max(self._failures.get(one, (0, 0.0))[1] - self._clock() for one in subjects)
            if wait_s > 0:
                raise NotAllowed(f"There were too many tries: wait {_in_words(wait_s)}.")
            for one in subjects:
                n = self._failures.pop(one, (0, 0.0))[0] + 1
                sort = one.partition(" ")[0]
                free = FREE_TRIES if sort == "name" else 4 * FREE_TRIES  # many people may share an address
                pause_s = min(2.0 ** min(n - free, 20), LONGEST_PAUSES_S[sort]) if n >= free else 0.0
                self._failures[one] = n, self._clock() + pause_s
            while len(self._failures) > MOST_REMEMBERED:
                self._failures.popitem(last=False)

    def came_in(self, subjects: tuple[str, ...]) -> None:
        """Forget the failures of a name whose owner has come in; from their address this try was none."""
        with self._lock:
            for one in subjects:
                n, until = self._failures.pop(one, (0, 0.0))
                if one.startswith("address") and n > 1:
                    self._failures[one] = n - 1, until


def link_of(settings: Settings, token: str) -> str:
    """The address at which a password is set once."""
    address = settings.url.rstrip("/") or f"http://localhost:{settings.port}"
    return f"{address}/welcome?link={token}"


def first_administrator(settings: Settings, store: Store) -> str | None:
    """Where nobody can sign in yet: the link by which the first administrator does. Each start makes it anew."""
    known = store.users()
    living = [one for one in known if one.removed_at is None]
    if any(one.has_password for one in living):
        return None
    accounts = Accounts(settings, store)
    if first := next((one.name for one in living if one.role is Role.ADMINISTRATOR), None):
        return link_of(settings, accounts.link(first))
    taken = {one.name.lower() for one in known}
    free = next(name for name in (f"{FIRST}{n or ''}" for n in count()) if name not in taken)
    return link_of(settings, accounts.invite(free, Role.ADMINISTRATOR))


def who_is(name: str, role: Role) -> Who:
    """A user as the one who asks."""
    return Who(name, is_administrator=role is Role.ADMINISTRATOR)


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a user.

    Raises:
        BadInput: it is too long, or holds other characters than letters, digits and _ . @ -.
    """
    if not 1 <= len(name) <= 64 or not all(one.isascii() and (one.isalnum() or one in "_.@-") for one in name):
        raise BadInput("A name has 1 to 64 letters, digits and characters of _ . @ -.")


def check_password(password: str) -> None:
    """Refuse a password that is no good.

    Raises:
        BadInput: it is too short or too long.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadInput(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,} characters.")


def _in_words(wait_s: float) -> str:
    return f"{wait_s:.0f} s" if 1 <= wait_s < 120 else f"{wait_s / 60:.0f} min" if wait_s >= 120 else "a moment"
