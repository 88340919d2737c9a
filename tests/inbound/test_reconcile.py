"""Messages in doubt: evidence, silence that counts, and silence that does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from inbound_world import NOW, Event, at, event, keep, messages, plan, rows, send, tell

from engine.inbound import Reconciled, reconcile
from engine.inbound.reconcile import PATIENCE
from engine.store import Outcome, Store
from engine.store.tables import attempt, message

DAY = timedelta(hours=26)


def doubtful(store: Store, class_: str, **change: object) -> Event:
    """Ann's message in doubt; the custom args of its attempt."""
    plan(store, ["ann"], **{"class": class_, **change})
    return send(store, rest="in_doubt", named=False)["ann"]


def later_mail(store: Store, name: str = "later", channel: str = "email", heard: bool = True) -> None:
    """A mail sent an hour after, of which an event has arrived."""
    plan(store, [name], rule=name, channel=channel)
    args = send(store, now=at(hours=1))
    if heard:
        tell(store, event("processed", args[name], who=name))


def state(store: Store) -> str:
    return messages(store)["ann"][0]


def resends(store: Store) -> int:
    return rows(store, message.c.id, message.c.resends)[0][1]


@pytest.mark.parametrize("class_", ["marketing", "service", "legal"])
def test_nothing_is_decided_before_26_hours(store: Store, class_: str) -> None:
    doubtful(store, class_)
    later_mail(store)
    assert reconcile(store, NOW + PATIENCE - timedelta(microseconds=1)) == Reconciled(0, 0, 0, 0)
    assert state(store) == "in_doubt"


@pytest.mark.parametrize("class_", ["marketing", "service", "legal"])
@pytest.mark.parametrize("kind", ["processed", "delivered", "deferred", "dropped", "bounce"])
def test_evidence_ends_the_doubt_whatever_the_class(store: Store, class_: str, kind: str) -> None:
    args = doubtful(store, class_)
    later_mail(store)
    keep(store, [event(kind, args)])  # kept, and not applied yet
    reconcile(store, NOW + DAY)
    assert (state(store), resends(store)) == ("accepted", 0)


def test_marketing_becomes_unknown_and_is_not_sent_again(store: Store) -> None:
    doubtful(store, "marketing")
    later_mail(store)
    assert reconcile(store, NOW + DAY) == Reconciled(0, 0, 1, 0)
    assert (state(store), resends(store)) == ("unknown", 0)
    assert store.outbox.claim(NOW + 2 * DAY, 9, "me", 60) == []


def test_service_mail_is_sent_once_more_and_marked(store: Store) -> None:
    doubtful(store, "service")
    later_mail(store)
    assert reconcile(store, NOW + DAY) == Reconciled(0, 1, 0, 0)
    assert (state(store), resends(store)) == ("planned", 1)
    assert reconcile(store, NOW + DAY) == Reconciled(0, 0, 0, 0)
    send(store, rest="in_doubt", now=NOW + DAY)
    plan(store, ["last"], rule="last")
    tell(store, event("processed", send(store, now=NOW + DAY + timedelta(hours=1))["last"], who="last"))
    assert reconcile(store, NOW + 2 * DAY) == Reconciled(0, 0, 1, 0)
    assert (state(store), resends(store)) == ("unknown", 1)


def test_legal_mail_is_sent_three_times_more_and_then_left_to_a_person(store: Store) -> None:
    doubtful(store, "legal")
    later_mail(store, "later0")
    for turn in range(1, 4):
        now = NOW + turn * DAY
        assert reconcile(store, now).resent == 1
        send(store, rest="in_doubt", now=now)
        plan(store, [f"later{turn}"], rule=f"later{turn}")
        args = send(store, now=now + timedelta(hours=1))[f"later{turn}"]
        tell(store, event("processed", args, who=f"later{turn}"))
    assert reconcile(store, NOW + 4 * DAY) == Reconciled(0, 0, 1, 0)
    assert (state(store), resends(store)) == ("unknown", 3)
    assert len([row for row in rows(store, attempt.c.message_id) if row[0] == 1]) == 4


@pytest.mark.parametrize("class_", ["service", "legal"])
def test_silence_says_nothing_while_the_stream_is_silent(store: Store, class_: str) -> None:
    doubtful(store, class_)
    later_mail(store, heard=False)
    for days in (1, 2, 30):
        assert reconcile(store, NOW + days * DAY) == Reconciled(0, 0, 0, 1)
    assert state(store) == "in_doubt"
    later_mail(store, "another")
    assert reconcile(store, NOW + 30 * DAY).resent == 1


def test_marketing_is_given_up_without_a_stream_as_well(store: Store) -> None:
    doubtful(store, "marketing")
    assert reconcile(store, NOW + DAY).unknown == 1


def test_events_of_another_channel_or_of_earlier_mail_are_no_sign_of_life(store: Store) -> None:
    plan(store, ["early"], rule="early")
    early = send(store)["early"]
    doubtful(store, "service", channel="smtp")
    later_mail(store)
    tell(store, event("delivered", early, who="early"))
    assert reconcile(store, NOW + DAY) == Reconciled(0, 0, 0, 1)
    later_mail(store, "sibling", channel="smtp")
    assert reconcile(store, NOW + DAY).resent == 1


def test_what_has_expired_is_not_sent_again(store: Store) -> None:
    doubtful(store, "service", expires_at=at(hours=20))
    assert reconcile(store, NOW + DAY) == Reconciled(0, 0, 1, 0)
    assert state(store) == "unknown"


def test_late_evidence_still_ends_what_was_given_up_or_sent_again(store: Store) -> None:
    args = doubtful(store, "service")
    later_mail(store)
    reconcile(store, NOW + DAY)
    assert state(store) == "planned"
    tell(store, event("delivered", args))
    assert messages(store)["ann"] == ("accepted", "delivered")
    assert store.outbox.claim(NOW + DAY, 9, "me", 60) == []


def test_evidence_for_what_became_unknown_makes_it_accepted(store: Store) -> None:
    args = doubtful(store, "marketing")
    reconcile(store, NOW + DAY)
    tell(store, event("delivered", args))
    assert messages(store)["ann"] == ("accepted", "delivered")


def test_an_answer_that_came_too_late_for_its_lease_ends_the_doubt(store: Store) -> None:
    args = doubtful(store, "marketing")
    answer = Outcome(int(args["message"]), 0, int(args["attempt"]), "accepted", "accepted", "id")  # an old token
    assert store.outbox.record([answer], [], "me", NOW, 60).stale == {1}
    assert state(store) == "in_doubt"
    assert reconcile(store, at(minutes=1)) == Reconciled(1, 0, 0, 0)
    assert state(store) == "accepted"


def test_a_thousand_doubts_are_settled_together(quick_store: Store) -> None:
    plan(quick_store, [f"c{n}" for n in range(1000)])
    send(quick_store, rest="in_doubt")
    assert reconcile(quick_store, NOW + DAY).unknown == 1000
