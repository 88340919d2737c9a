"""The one table of what providers tell us: each event once, each source by itself."""

from __future__ import annotations

from inbound_world import NOW, SECRET, at, event, keep, rows

from engine.store import Erasure, Kept, RawEvent, Store, address_key
from engine.store.inbound_events import Settled, settle, waiting
from engine.store.tables import inbound_event


def raw(name: str, **more: object) -> RawEvent:
    return RawEvent(name, "invoice.paid", NOW, "{}", **more)  # type: ignore[arg-type]


def test_an_event_keeps_the_state_it_came_in(store: Store) -> None:
    events = [raw("a", about="cus_1"), raw("b", state="ignored", detail="of test mode"), raw("c", state="quarantined")]
    assert store.inbound.keep("stripe", events, NOW) == Kept(1, 1, 1)
    assert store.inbound.keep("stripe", events, at(hours=1)) == Kept(0, 0, 0)
    columns = (inbound_event.c.event_id, inbound_event.c.state, inbound_event.c.about, inbound_event.c.detail)
    assert rows(store, *columns) == [
        ("a", "new", "cus_1", None), ("b", "ignored", None, "of test mode"), ("c", "quarantined", None, None),
    ]  # fmt: skip


def test_two_sources_may_use_the_same_id(store: Store) -> None:
    for source in ("sendgrid", "stripe"):
        assert store.inbound.keep(source, [raw("a")], NOW).stored == 1
    assert store.inbound.counts() == {("sendgrid", "new"): 1, ("stripe", "new"): 1}


def test_evidence_leaves_the_events_of_others_alone(store: Store) -> None:
    store.inbound.keep("stripe", [raw("a")], NOW)
    keep(store, [event("bounce")])
    assert store.evidence.apply_all().events == 1
    assert store.inbound.counts() == {("sendgrid", "orphan"): 1, ("stripe", "new"): 1}


def test_what_waits_is_read_oldest_first_and_settled_once(store: Store) -> None:
    for name in ("z", "y", "x"):
        store.inbound.keep("stripe", [raw(name, about="cus_1")], NOW)
    with store._database.write() as connection:
        found = waiting(connection, "stripe", 2)
        assert [(row.event_id, row.about) for row in found] == [("z", "cus_1"), ("y", "cus_1")]
        settle(connection, [Settled(found[0].id, "applied"), Settled(found[1].id, "orphan", detail="of nobody")])
    with store._database.write() as connection:
        assert [row.event_id for row in waiting(connection, "stripe", 9)] == ["x"]
        assert waiting(connection, "sendgrid", 9) == []


# ---- data protection ----


def test_what_a_provider_said_about_a_customer_is_taken_away_by_the_id_it_knows_them_by(store: Store) -> None:
    events = [raw("a", about="cus_1"), raw("b", about="cus_1", state="ignored", detail="why"), raw("c", about="cus_2")]
    store.inbound.keep("stripe", [*events, raw("d")], NOW)
    assert store.privacy.forget_events(["cus_1", "cus_9"]) == 2
    assert store.privacy.forget_events(["cus_1"]) == store.privacy.forget_events([]) == 0
    columns = (
        inbound_event.c.event_id, inbound_event.c.state, inbound_event.c.about, inbound_event.c.body,
        inbound_event.c.detail,
    )  # fmt: skip
    assert rows(store, *columns) == [
        ("a", "applied", None, "", None), ("b", "ignored", None, "", None), ("c", "new", "cus_2", "{}", None),
        ("d", "new", None, "{}", None),
    ]  # fmt: skip
    assert store.inbound.keep("stripe", events, NOW) == Kept(0, 0, 0)


def test_an_export_has_what_providers_said_by_that_id(store: Store) -> None:
    store.inbound.keep("stripe", [raw("a", about="cus_1"), raw("b", about="cus_2"), raw("c")], NOW)
    found = store.privacy.rows_about("ann", [], ["cus_1"])["inbound_event"]
    assert [row["event_id"] for row in found] == ["a"]
    assert store.privacy.rows_about("ann", [])["inbound_event"] == []


def test_an_erased_address_goes_from_the_events_of_every_source(store: Store) -> None:
    store.inbound.keep("stripe", [RawEvent("a", "x", NOW, '{"email": "Ann@example.com"}', about="cus_1")], NOW)
    keep(store, [event("open")])
    key = address_key(SECRET, "ann@example.com")
    store.privacy.finish_erasure(Erasure(addresses={key: "ann@example.com"}), str, str, NOW)
    assert rows(store, inbound_event.c.body, inbound_event.c.about) == [("", None), ("", None)]


def test_events_of_every_source_are_deleted_in_time_but_for_those_that_wait(store: Store) -> None:
    events = [raw("a"), raw("b", state="ignored"), raw("c", state="quarantined")]
    for source in ("sendgrid", "stripe"):
        store.inbound.keep(source, events, NOW)
    assert sum(store.privacy.prune_events(at(seconds=1), 100)) == 4
    assert store.inbound.counts() == {("sendgrid", "new"): 1, ("stripe", "new"): 1}
