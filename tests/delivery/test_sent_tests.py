"""Tests among other messages: sent alone, by the hand of whoever asked, and counted nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from delivery_world import NOW, SHA, Desk, options, parts, plan, states

from engine.channels import Answer, Result
from engine.delivery import Recheck, deliver, judge
from engine.store import GateRow, NewTest, OutboxMessage, Store, Suppression

ME = "me@acme.example"
TEST = NewTest(
    "ff" * 32, "quiet", "quiet", ME, "key-me", "email", "quiet", SHA, "marketing", "win-back", "Europe/Berlin", NOW,
    NOW + timedelta(minutes=15),
)  # fmt: skip


class MailFor(Desk):
    """A desk, and what renders for it."""

    def parts(self):  # type: ignore[no-untyped-def]
        made = parts(self)
        values = '{"customer": {"name": "Ann"}}'
        return replace(made, render=lambda message, now: made.render(message._replace(values_json=values), now))


def test_a_delivery_takes_no_test_and_a_test_s_delivery_nothing_else(any_store: Store) -> None:
    plan(any_store, ["ann", "bob"])
    number, desk = any_store.outbox.plan_test(TEST), MailFor()
    report = deliver(any_store, desk.parts(), options(), test_id=number)
    assert (desk.calls, report.outcomes["accepted"], report.waiting) == (["me"], 1, 2)
    assert any_store.outbox.end_test(number).state == "accepted"
    another = any_store.outbox.plan_test(replace(TEST, key="fe" * 32))
    deliver(any_store, desk.parts(), options())
    assert sorted(desk.calls) == ["ann", "bob", "me"]
    assert any_store.outbox.end_test(another).state == "planned"


def test_a_test_stands_in_no_figure(any_store: Store) -> None:
    number = any_store.outbox.plan_test(TEST)
    outbox = any_store.outbox
    assert (outbox.counts(), outbox.due_count(NOW), outbox.next_due_at(), outbox.oldest_waiting(NOW)) == (
        {},
        0,
        None,
        None,
    )
    assert list(outbox.due_candidates(NOW)) == []
    deliver(any_store, MailFor().parts(), options(), test_id=number)
    figures = any_store.figures(NOW)
    assert (figures.outbox, figures.deliveries) == ({}, {})


@pytest.mark.parametrize(("of_channel", "state"), [(False, "retry_wait"), (True, "planned")])
def test_one_attempt_is_all_a_test_gets(any_store: Store, of_channel: bool, state: str) -> None:
    def busy(customer: str, n: int) -> Answer:
        return Answer(Result.RETRY if n == 1 else Result.ACCEPTED, detail="busy", of_channel=of_channel)

    number, desk = any_store.outbox.plan_test(TEST), MailFor(busy)
    deliver(any_store, desk.parts(), options(), test_id=number)
    found = any_store.outbox.end_test(number)
    assert (desk.calls, found.state, found.detail) == (["me"], state, "busy")
    assert [row.state for row in any_store.outbox.listed(None, None, 9)] == ["cancelled"]


def test_a_test_in_doubt_is_unknown_at_once_and_never_sent_again(any_store: Store) -> None:
    number, desk = (
        any_store.outbox.plan_test(TEST),
        MailFor(lambda customer, n: Answer(Result.IN_DOUBT, detail="reset")),
    )
    deliver(any_store, desk.parts(), options(), test_id=number)
    assert any_store.outbox.end_test(number).state == "in_doubt"
    assert [row.state for row in any_store.outbox.listed(None, None, 9)] == ["unknown"]
    assert any_store.outbox.find([number]) == []


@pytest.mark.parametrize("kind", ["unsubscribed", "bounced", "complained", "erased"])
def test_what_stops_mail_to_the_address_stops_a_test(store: Store, kind: str) -> None:
    plan(store, ["ann"])
    store.suppressions.add([Suppression("key-me", ME, kind, None, None, "test", NOW)])
    number, desk = store.outbox.plan_test(TEST), MailFor()
    deliver(store, desk.parts(), options(), test_id=number)
    found = store.outbox.end_test(number)
    assert (desk.calls, found.state, found.reason) == ([], "suppressed", kind)
    assert states(store) == {"ann": "planned"} | {"": "suppressed"}


def test_a_test_left_behind_by_a_crash_is_given_up_when_its_time_is_over(any_store: Store) -> None:
    number, desk = any_store.outbox.plan_test(TEST), MailFor()
    any_store.outbox.claim_test(number, NOW, "dead", 1.0)
    later = NOW + timedelta(hours=1)
    late = replace(desk.parts(), clock=lambda: later)
    if any_store.kind == "postgresql":  # leases are measured by the server's clock there
        any_store.outbox.release("dead")
    deliver(any_store, late, options())
    assert [(row.state, row.reason) for row in any_store.outbox.listed(None, None, 9)] == [("cancelled", "test_over")]
    assert desk.calls == []


def test_a_paused_rule_may_be_tested_and_a_paused_project_not() -> None:
    message = OutboxMessage(
        1, "ab" * 32, 3, None, "quiet", "", "", "s", ME, "k", "email", "quiet", "sha", "marketing", "win-back", "treated",
        "Europe/Berlin", NOW, None, "{}", 0, 0, is_test=True,
    )  # fmt: skip
    row = GateRow(1, "claimed", 3, paused=False, rule_paused=True, expired=False, suppressions=())
    assert judge(message, row, Recheck(), None, NOW).verdict == "send"
    assert judge(message._replace(is_test=False), row, Recheck(), None, NOW).verdict == "paused"
    assert judge(message, replace(row, paused=True), Recheck(), None, NOW).verdict == "paused"
