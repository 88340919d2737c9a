"""What events change, in whatever order and number they come."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inbound_world import (
    NOW,
    SECRET,
    Event,
    at,
    counts,
    event,
    keep,
    messages,
    picture,
    plan,
    rows,
    seconds,
    send,
    suppressions,
    tell,
)

from engine.store import Outcome, Start, Stop, Store, Suppression
from engine.store.event_words import FATES
from engine.store.tables import attempt, exposure, inbound_event, settled_step, suppression

WORDS = ("processed", "deferred", "delivered", "dropped", "bounce", "spamreport", "unsubscribe", "group_unsubscribe")


@contextmanager
def fresh_store() -> Iterator[Store]:
    with TemporaryDirectory() as folder, Store.open(f"sqlite:///{Path(folder)}/state.db") as store:
        yield store


def event_states(store: Store) -> list[tuple[Any, ...]]:
    return rows(store, inbound_event.c.id, inbound_event.c.state, inbound_event.c.message_id, inbound_event.c.detail)


# ---- whose event it is ----


def test_an_event_with_our_arguments_finds_its_message(store: Store) -> None:
    plan(store, ["ann", "bob"])
    args = send(store, {"ann": "in_doubt", "bob": "in_doubt"}, named=False)
    tell(store, event("processed", args["ann"]))
    assert messages(store) == {"ann": ("accepted", "processed"), "bob": ("in_doubt", None)}
    results = rows(store, attempt.c.id, attempt.c.result, attempt.c.detail)
    assert [row[1:] for row in results] == [("accepted", "its events say so"), ("in_doubt", None)]


def test_an_event_without_arguments_is_found_by_the_id_of_the_answer(store: Store) -> None:
    plan(store, ["ann"])
    send(store)
    tell(store, event("bounce", who="ann", type="bounce"))
    assert messages(store) == {"ann": ("accepted", "bounced")}
    assert suppressions(store) == {("ann@example.com", "bounced")}


@pytest.mark.parametrize("name", ["id-ann", "id-ann.1.2", "id-ann.filter0001.16648.5515E0B88.0"])
def test_the_id_of_an_event_begins_with_that_of_the_answer(quick_store: Store, name: str) -> None:
    plan(quick_store, ["ann"])
    send(quick_store)
    tell(quick_store, event("delivered", sg_message_id=name))
    assert messages(quick_store) == {"ann": ("accepted", "delivered")}


@pytest.mark.parametrize(
    "name", ["id-an.1", "id-annie.1", "", None, 7, "id-ann\x00.1", "\ud800", "." * 300, "x" * 9000]
)
def test_an_id_that_only_looks_alike_finds_nothing(store: Store, name: object) -> None:
    plan(store, ["ann"])
    send(store)
    tell(store, event("delivered", sg_message_id=name))
    assert messages(store) == {"ann": ("accepted", None)}
    assert counts(store) == {"orphan": 1}


def test_an_answer_id_given_twice_names_nobody(store: Store) -> None:
    plan(store, ["ann", "bob"])
    args = send(store, named=False)
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE attempt SET provider_id = 'same'")
    tell(store, event("delivered", sg_message_id="same.1"))
    assert {fate for _, fate in messages(store).values()} == {None}
    tell(store, event("delivered", args["bob"], sg_message_id="same.1"))
    assert messages(store)["bob"] == ("accepted", "delivered")


@pytest.mark.parametrize(
    "change",
    [{"message": "999"}, {"attempt": "999"}, {"attempt": "0"}, {"attempt": None}, {"attempt": "1; DROP TABLE message"},
     {"attempt": "9" * 30}, {"message": ["1"]}],
)  # fmt: skip
def test_arguments_that_do_not_fit_together_find_nothing(store: Store, change: Event) -> None:
    plan(store, ["ann"])
    args = send(store, rest="in_doubt")["ann"]
    tell(store, event("delivered", args | change))
    assert messages(store) == {"ann": ("in_doubt", None)}
    assert event_states(store) == [(1, "orphan", None, "of no attempt of ours")]


def test_an_event_of_another_install_moves_no_message_but_its_bounce_still_counts(store: Store) -> None:
    plan(store, ["ann"])
    args = send(store, rest="in_doubt")["ann"]
    tell(store, event("bounce", args | {"install": "f" * 32}))
    assert messages(store) == {"ann": ("in_doubt", None)}
    assert event_states(store) == [(1, "orphan", None, "of another install")]
    assert suppressions(store) == {("ann@example.com", "bounced")}


@pytest.mark.parametrize(
    ("kind", "wanted"), [("bounce", "bounced"), ("spamreport", "complained"), ("unsubscribe", "unsubscribed")]
)
def test_an_orphan_still_keeps_its_address_from_being_written_to(store: Store, kind: str, wanted: str) -> None:
    tell(store, event(kind, who="stranger"))
    assert suppressions(store) == {("stranger@example.com", wanted)}


def test_a_bounce_without_an_address_suppresses_that_of_its_message(store: Store) -> None:
    plan(store, ["ann"])
    tell(store, event("bounce", send(store)["ann"], email=""))
    assert suppressions(store) == {("ann@example.com", "bounced")}


def test_a_mail_that_was_redirected_bounces_for_the_address_it_went_to(quick_store: Store) -> None:
    plan(quick_store, ["ann"])
    tell(quick_store, event("bounce", send(quick_store)["ann"], email="tester@example.com"))
    assert suppressions(quick_store) == {("tester@example.com", "bounced")}


# ---- what it changes ----


@pytest.mark.parametrize(
    ("words", "fate", "suppressed"),
    [
        (event("processed"), "processed", None),
        (event("deferred"), "deferred", None),
        (event("delivered"), "delivered", None),
        (event("bounce", type="bounce"), "bounced", "bounced"),
        (event("bounce"), "bounced", "bounced"),
        (event("bounce", type="blocked"), "blocked", None),
        (event("blocked"), "blocked", None),
        (event("dropped", reason="Bounced Address"), "dropped", "bounced"),
        (event("dropped", reason="Invalid"), "dropped", "bounced"),
        (event("dropped", reason="Spam Reporting Address"), "dropped", "complained"),
        (event("dropped", reason="Unsubscribed Address"), "dropped", "unsubscribed"),
        (event("dropped", reason="Recipient List over Package Quota"), "dropped", None),
        (event("dropped"), "dropped", None),
        (event("spamreport"), "complained", "complained"),
        (event("unsubscribe"), None, "unsubscribed"),
        (event("group_unsubscribe", asm_group_id=3), None, "unsubscribed"),
    ],
)
def test_each_word_has_its_meaning(quick_store: Store, words: Event, fate: str | None, suppressed: str | None) -> None:
    plan(quick_store, ["ann"])
    args = send(quick_store, rest="in_doubt")["ann"]
    tell(quick_store, words | args)
    assert messages(quick_store) == {"ann": ("accepted", fate)}
    assert suppressions(quick_store) == ({("ann@example.com", suppressed)} if suppressed else set())


@pytest.mark.parametrize("kind", ["open", "click", "group_resubscribe", "account_status_change", "auto_reply"])
def test_opens_clicks_and_unknown_words_change_nothing(store: Store, kind: str) -> None:
    plan(store, ["ann"])
    args = send(store, rest="in_doubt")["ann"]
    before = {name: found for name, found in picture(store).items() if name != "events"}
    tell(store, event(kind, args))
    assert {name: found for name, found in picture(store).items() if name != "events"} == before
    assert [row[1] for row in event_states(store)] == ["applied"]


def test_a_suppression_keeps_its_first_source(store: Store) -> None:
    store.suppressions.add([Suppression.of(SECRET, "ann@example.com", "unsubscribed", "page", NOW)])
    tell(store, event("unsubscribe", timestamp=seconds(at(days=-5))))
    assert rows(store, suppression.c.source, suppression.c.at) == [("page", NOW)]


@pytest.mark.parametrize("hours", [(1, 2, 3), (3, 2, 1), (2, 1, 3)])
def test_a_suppression_holds_since_the_earliest_event_that_asked_for_it(store: Store, hours: tuple[int, ...]) -> None:
    for hour in hours:
        tell(store, event("bounce", timestamp=seconds(at(hours=hour))))
    assert rows(store, suppression.c.at) == [(at(hours=1),)]


def test_an_erased_address_is_not_written_down_again(store: Store) -> None:
    entry = Suppression.of(SECRET, "ann@example.com", "erased", "command", NOW)
    store.suppressions.add([Suppression(entry.address_key, None, "erased", None, None, "command", NOW)])
    tell(store, event("bounce"))
    assert suppressions(store) == {(None, "erased"), (None, "bounced")}


def test_an_event_before_the_answer_of_the_call_counts(store: Store) -> None:
    plan(store, ["ann"])
    (claimed,) = store.outbox.claim(NOW, 1, "me", 60)
    attempt_id = store.outbox.record([], [Start(claimed.id, claimed.token)], "me", NOW, 60).attempts[claimed.id]
    tell(
        store, event("processed", {"message": str(claimed.id), "attempt": str(attempt_id), "install": store.install.id})
    )
    assert messages(store) == {"ann": ("accepted", "processed")}
    timeout = Outcome(claimed.id, claimed.token, attempt_id, "in_doubt", "in_doubt", None, "no answer")
    assert store.outbox.record([timeout], [], "me", NOW, 60).stale == {claimed.id}
    assert messages(store) == {"ann": ("accepted", "processed")}
    store.outbox.recover(at(hours=1))
    assert messages(store) == {"ann": ("accepted", "processed")}
    assert rows(store, attempt.c.result) == [("accepted",)]


@pytest.mark.parametrize("state", ["retry_wait", "refused", "failed", "planned"])
def test_evidence_wins_over_what_we_thought(store: Store, state: str) -> None:
    plan(store, ["ann"])
    (claimed,) = store.outbox.claim(NOW, 1, "me", 60)
    attempt_id = store.outbox.record([], [Start(claimed.id, claimed.token)], "me", NOW, 60).attempts[claimed.id]
    store.outbox.record([Outcome(claimed.id, claimed.token, attempt_id, "retry", state)], [], "me", NOW, 60)
    tell(
        store, event("delivered", {"message": str(claimed.id), "attempt": str(attempt_id), "install": store.install.id})
    )
    assert messages(store) == {"ann": ("accepted", "delivered")}
    assert store.outbox.claim(at(days=1), 1, "me", 60) == []


def test_a_message_that_was_stopped_and_had_been_sent_counts_again(store: Store) -> None:
    plan(store, ["ann"])
    args = send(store, rest="retry_wait")["ann"]
    (row,) = store.outbox.find([int(args["message"])])
    store.outbox.stop([Stop(row.id, "cancelled", "no_longer_true", NOW.date())])
    assert rows(store, exposure.c.counts) == [(False,)]
    tell(store, event("processed", args))
    assert messages(store) == {"ann": ("accepted", "processed")}
    assert rows(store, exposure.c.counts) == [(True,)]
    assert rows(store, settled_step.c.how) == [("sent",)]


def test_an_erased_body_is_an_orphan(store: Store) -> None:
    plan(store, ["ann"])
    keep(store, [event("bounce", send(store)["ann"])])
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE inbound_event SET body = '', address_key = NULL")
    store.evidence.apply_all()
    assert counts(store) == {"orphan": 1}


# ---- once, in any order ----


def test_nothing_is_applied_twice(store: Store) -> None:
    plan(store, ["ann"])
    args = send(store, rest="in_doubt")["ann"]
    tell(store, event("bounce", args))
    store.suppressions.remove(rows(store, suppression.c.address_key)[0][0])
    for _ in range(3):
        tell(store, event("bounce", args))
    assert suppressions(store) == set()
    assert store.evidence.apply_new().events == 0


def test_the_limit_is_kept_and_the_rest_comes_next(store: Store) -> None:
    keep(store, [event("open", n=n) for n in range(7)])
    assert [store.evidence.apply_new(3).events for _ in range(4)] == [3, 3, 1, 0]


def test_fates_only_move_forward(quick_store: Store) -> None:
    plan(quick_store, ["ann"])
    args = send(quick_store)["ann"]
    tell(quick_store, event("spamreport", args))
    for kind in WORDS:
        tell(quick_store, event(kind, args))
        assert messages(quick_store) == {"ann": ("accepted", FATES[-1])}


def test_two_workers_share_the_events(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        customers = [f"c{n}" for n in range(300)]
        plan(store, customers)
        args = send(store, rest="in_doubt")
        keep(
            store,
            [event(kind, args[who], who=who) for who in customers for kind in ("delivered", "bounce", "spamreport")],
        )
        done: list[int] = []

        def work() -> None:
            while count := store.evidence.apply_new(50).events:
                done.append(count)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        store.evidence.apply_all()
        assert set(messages(store).values()) == {("accepted", "complained")}
        assert counts(store) == {"applied": 900}


PEOPLE = ("ann", "bob", "eve", "joe")
RESULTS = {"ann": "in_doubt", "bob": "accepted", "eve": "retry_wait", "joe": "sending"}


def _told(events: list[Event], batches: list[int]) -> dict[str, list[tuple[Any, ...]]]:
    """The picture after these events, applied in batches of these sizes and then the rest."""
    with fresh_store() as store:
        plan(store, PEOPLE)
        args = send(store, RESULTS)
        left = [one | args[one["who"]] if one["ours"] else one for one in events]
        for size in (*batches, len(left)):
            part, left = left[:size], left[size:]
            keep(store, part)
            store.evidence.apply_all()
        return picture(store)


_events = st.builds(
    lambda kind, who, ours, hours, more: (
        event(kind, who=who, timestamp=seconds(at(hours=hours)), ours=ours, **more) | {"who": who}
    ),
    st.sampled_from((*WORDS, "open", "click")),
    st.sampled_from(PEOPLE),
    st.booleans(),
    st.integers(0, 5),
    st.sampled_from([{}, {"type": "blocked"}, {"reason": "Bounced Address"}, {"reason": "Unsubscribed Address"}]),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(_events, max_size=12, unique_by=lambda one: one["sg_event_id"]),
    st.randoms(use_true_random=False),
    st.data(),
)
def test_any_order_and_number_gives_the_same_state(
    events: list[Event], chance: random.Random, data: st.DataObject
) -> None:
    repeated = events * 2 + [one for one in events if chance.random() < 0.5]
    chance.shuffle(repeated)
    batches = data.draw(st.lists(st.integers(1, 5), max_size=6))
    assert _told(repeated, batches) == _told(events, [])


def test_three_thousand_events_shuffled_and_tripled_give_the_state_of_the_ordered_ones(
    store: Store, quick_store: Store
) -> None:
    chance = random.Random(5)
    customers = [f"c{n}" for n in range(600)]
    results = {who: chance.choice(("accepted", "in_doubt", "sending", "retry_wait")) for who in customers}
    pictures = []
    for one, tripled in ((store, True), (quick_store, False)):
        plan(one, customers)
        args = send(one, results)
        story = random.Random(7)
        events = [
            event(story.choice(WORDS), args[who], who=who, sg_event_id=f"{who}-{n}")
            for n in range(5)
            for who in customers
        ]
        if tripled:
            events = events * 3
            chance.shuffle(events)
        for start in range(0, len(events), 1000):
            keep(one, events[start : start + 1000])
            one.evidence.apply_new(700)
        one.evidence.apply_all()
        pictures.append(picture(one))
    assert pictures[0] == pictures[1]
    assert {state for _, state, *_ in pictures[0]["messages"]} == {"accepted"}
