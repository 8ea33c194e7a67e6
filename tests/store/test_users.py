from __future__ import annotations

import pytest

from core.errors import BadInput, NotFound
from core.store import Store
from core.store.users import Role


def test_a_name_is_given_once_whatever_its_case_and_also_after_its_owner_has_gone(store: Store) -> None:
    store.add_user("ann", Role.MEMBER)
    store.remove_user("ann")
    for name in ("ann", "ANN"):
        with pytest.raises(BadInput, match="The name ann is taken"):
            store.add_user(name, Role.MEMBER)
    for act in (store.user, store.remove_user, lambda name: store.set_role(name, Role.MEMBER)):
        with pytest.raises(NotFound, match="There is no user ann"):
            act("ann")
    assert [(one.name, one.removed_at is None) for one in store.users()] == [("ann", False)]


def test_sessions_run_out_last_longer_when_used_and_end_with_password_or_user(store: Store) -> None:
    store.add_user("ann", Role.ADMINISTRATOR)
    store.set_password("ann", "hash")
    store.add_session("over", "ann", "old", -1)
    store.add_session("one", "ann", "browser", 60)
    store.add_session("two", "ann", "phone", 60)
    assert store.session("over") is None
    found = store.session("one")
    assert found is not None
    assert (found.user, found.role, found.agent) == ("ann", Role.ADMINISTRATOR, "browser")
    store.use_session("one", 600)
    assert [one.id for one in store.sessions("ann")] == ["one", "two"]
    assert store.user("ann").n_sessions == 2
    assert store.end_sessions("ann", but="one") == 1
    store.set_password("ann", "another")
    assert store.sessions("ann") == []
    store.add_session("three", "ann", "browser", 60)
    store.remove_user("ann")
    assert store.session("three") is None
    assert store.password_of("ann") is None


def test_a_link_is_taken_once_and_a_new_one_voids_it(store: Store) -> None:
    store.add_user("ann", Role.MEMBER)
    store.add_link("first", "ann", 60)
    store.add_link("second", "ann", 60)
    assert (store.linked("first"), store.linked("second")) == (None, "ann")
    assert (store.take_link("second"), store.take_link("second")) == ("ann", None)
    store.add_link("over", "ann", -1)
    assert (store.linked("over"), store.take_link("over")) == (None, None)


def test_a_hash_that_was_changed_meanwhile_is_not_put_back(store: Store) -> None:
    store.add_user("ann", Role.MEMBER)
    store.set_password("ann", "new")
    store.rehash_password("ann", "old", "old, hashed anew")
    assert store.password_of("ann") == "new"
