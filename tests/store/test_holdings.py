"""What processes hold of a card, what others wish of it, and which models lie where."""

from __future__ import annotations

from typing import Any

from core.store import Store
from core.store.holdings import Holding
from core.store.workers import WorkerInfo
from core.values import ModelInfo, Origin, Role


def report(store: Store, worker: str, *, card: str = "card", lease_s: float = 30, place: str = "here") -> None:
    store.report_worker(
        WorkerInfo(worker, "interactive", "host", 1, "a card", "gpu", 16e9, 9e9, 4, card, place), lease_s
    )


def holding(worker: str, key: str, **fields: Any) -> Holding:
    given: dict[str, Any] = {
        "card": "card",
        "model": key,
        "revision": None,
        "precision": "nf4",
        "attention": "sdpa",
        "n_bytes": 5,
    }
    return Holding(worker=worker, key=key, **(given | {"is_loading": False, "users": (), "used_at": 1.0} | fields))


def model(name: str, revision: str | None = None) -> ModelInfo:
    return ModelInfo(name=name, revision=revision, origin=Origin.HUB, role=Role.CAUSAL, n_bytes=10**12)


def test_a_report_is_all_that_a_worker_holds(store: Store) -> None:
    report(store, "w")
    store.report_holdings("w", [holding("w", "a"), holding("w", "b")])
    store.report_holdings("w", [holding("w", "b", users=("job",), used_at=2.0)])
    assert [(one.key, one.users) for one in store.holdings()] == [("b", ("job",))]
    store.report_holdings("w", [])
    assert store.holdings() == []


def test_wishes_stay_while_a_worker_reports_the_same_model(store: Store) -> None:
    report(store, "w")
    store.report_holdings("w", [holding("w", "a")])
    store.pin(store.holdings(), is_pinned=True)
    store.request_release(store.holdings())
    store.report_holdings("w", [holding("w", "a", n_bytes=7)])
    (found,) = store.holdings()
    assert (found.is_pinned, found.is_release_requested, found.n_bytes) == (True, True, 7)


def test_a_model_that_came_back_is_wished_nothing(store: Store) -> None:
    report(store, "w")
    store.report_holdings("w", [holding("w", "a")])
    store.request_release(store.holdings())
    store.report_holdings("w", [])
    store.report_holdings("w", [holding("w", "a")])
    assert not store.holdings()[0].is_release_requested


def test_what_a_dead_worker_held_is_gone_with_its_lease(store: Store) -> None:
    report(store, "w", lease_s=-1)
    store.report_holdings("w", [holding("w", "a")])
    assert store.holdings() == []
    store.forget_dead_workers()
    report(store, "w")
    assert store.holdings() == []


def test_a_worker_that_is_not_known_yet_holds_nothing(store: Store) -> None:
    store.report_holdings("nobody", [holding("nobody", "a")])
    assert store.holdings() == []


def test_holdings_are_asked_by_card(store: Store) -> None:
    for worker, card in (("w", "card"), ("v", "other card")):
        report(store, worker, card=card)
        store.report_holdings(worker, [holding(worker, "a", card=card)])
    assert [one.worker for one in store.holdings(card="card")] == ["w"]


def test_models_are_those_of_places_where_a_worker_lives(store: Store) -> None:
    report(store, "w", place="here")
    store.report_models("here", [model("a"), model("a", "main")])
    store.report_models("there", [model("b")])
    assert [(one.info.name, one.info.revision) for one in store.models()] == [("a", None), ("a", "main")]
    store.report_models("here", [model("c")])
    assert [one.info.name for one in store.models()] == ["c"]
    assert store.models()[0].info.n_bytes == 10**12


def test_of_a_model_that_is_held_again_nothing_is_wished(store: Store) -> None:
    report(store, "w")
    store.report_holdings("w", [holding("w", "a")])
    store.request_release(store.holdings())
    store.report_holdings("w", [holding("w", "a")], gone={"a"})
    assert not store.holdings()[0].is_release_requested


def test_who_pins_a_model_takes_back_that_it_should_go(store: Store) -> None:
    report(store, "w")
    store.report_holdings("w", [holding("w", "a")])
    store.request_release(store.holdings())
    store.pin(store.holdings(), is_pinned=True)
    assert not store.holdings()[0].is_release_requested


def test_what_no_database_takes_as_text_is_left_out_of_a_report(store: Store) -> None:
    report(store, "w", place="here")
    odd = model("odd").model_copy(update={"licence": "mit\0\udcff"})
    store.report_models("here", [model("no \udcff text"), odd])
    assert [(one.info.name, one.info.licence) for one in store.models()] == [("odd", "mit?")]
