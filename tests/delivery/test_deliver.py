from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path

import pytest
from delivery_world import NOW, Desk, options, parts, plan, states, through_folder, through_sendgrid
from fake_sendgrid import OK, FakeSendGrid, Fault

from engine.channels import Answer, Result
from engine.delivery import Candidates, OpenChannel, Progress, Recheck, deliver
from engine.errors import HeldError, SetupError, UnavailableError
from engine.project.settings_values import QuietHours
from engine.store import Store, Suppression

PEOPLE = [f"c{n:02}" for n in range(12)]


def test_everything_due_is_sent_once(any_store: Store) -> None:
    plan(any_store, PEOPLE)
    desk = Desk()
    report = deliver(any_store, parts(desk), options())
    assert sorted(desk.calls) == PEOPLE
    assert (report.sent, report.failed, report.waiting) == (12, 0, 0)
    assert set(states(any_store).values()) == {"accepted"}
    assert deliver(any_store, parts(desk), options()).sent == 0
    assert len(desk.calls) == 12


def test_each_call_has_its_attempt_on_record_before_it_is_made(store: Store) -> None:
    plan(store, PEOPLE)
    seen: list[int] = []

    desk = Desk(before=lambda: seen.append(store.outbox.counts().get("sending", 0)))
    deliver(store, parts(desk), options(concurrency=3))
    assert len(seen) == 12
    assert all(1 <= count <= 3 for count in seen)


def test_the_call_carries_our_ids_and_no_personal_data(store: Store) -> None:
    plan(store, ["ann"])
    desk = Desk()
    deliver(store, parts(desk), options())
    message = store.history_of("ann").messages[0]
    assert desk.args == [
        {"message": str(message.id), "attempt": str(message.attempts[0].id), "install": store.install.id}
    ]


def test_what_is_not_due_yet_waits(store: Store) -> None:
    plan(store, ["ann"], not_before=NOW + timedelta(seconds=1))
    assert deliver(store, parts(), options()).sent == 0
    report = deliver(store, parts(now=NOW + timedelta(seconds=1)), options())
    assert report.sent == 1


def test_a_message_for_a_channel_that_is_not_set_up_stays_planned(store: Store) -> None:
    plan(store, ["ann"], channel="task")
    assert deliver(store, parts(), options()).sent == 0
    assert states(store) == {"ann": "planned"}


# The gate.


def test_whoever_unsubscribed_since_the_plan_gets_nothing_and_the_exposure_is_taken_back(any_store: Store) -> None:
    plan(any_store, ["ann", "bob"])
    any_store.suppressions.add([Suppression("key-ann", None, "unsubscribed", None, None, "test", NOW)])
    report = deliver(any_store, parts(), options())
    assert (report.sent, report.stopped) == (1, {"unsubscribed": 1})
    assert states(any_store) == {"ann": "suppressed", "bob": "accepted"}
    history = any_store.history_of("ann")
    assert [one.counts for one in history.exposures] == [False]
    assert [one.how for one in history.settled] == ["stopped"]


def test_an_unsubscribe_while_the_message_waits_for_its_turn_stops_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.delivery.admission.JUDGED_FOR_S", 0.05)
    plan(store, ["ann", "bob"])

    def bob_leaves() -> None:
        store.suppressions.add([Suppression("key-bob", None, "unsubscribed", None, None, "test", NOW)])

    desk = Desk(before=bob_leaves)
    report = deliver(store, parts(desk), options(rate_per_s=5))  # both are ready at once; bob's turn comes 200 ms later
    assert (desk.calls, report.stopped) == (["ann"], {"unsubscribed": 1})


def test_expired_messages_are_not_sent(store: Store) -> None:
    plan(store, ["ann"], expires_at=NOW)
    assert deliver(store, parts(), options()).stopped == {"expired": 1}
    assert states(store) == {"ann": "expired"}


def test_a_paused_rule_waits_and_the_others_go_out(store: Store) -> None:
    plan(store, ["ann"])
    plan(store, ["bob"], rule="other")
    store.switches.pause("quiet", NOW)
    assert deliver(store, parts(), options()).sent == 1
    assert states(store) == {"ann": "planned", "bob": "accepted"}
    store.switches.resume("quiet")
    assert deliver(store, parts(), options()).sent == 1


def test_a_pause_of_everything_stops_everything(store: Store) -> None:
    plan(store, PEOPLE)
    store.switches.pause("*", NOW)
    assert deliver(store, parts(), options()).sent == 0
    assert set(states(store).values()) == {"planned"}


def test_a_pause_during_the_delivery_stops_the_rest(store: Store) -> None:
    plan(store, PEOPLE)
    desk = Desk(before=lambda: (store.switches.pause("*", NOW), time.sleep(2.1)))  # type: ignore[arg-type, return-value]
    report = deliver(store, parts(desk), options(concurrency=2))
    assert report.sent == 2
    assert sorted(states(store).values()) == ["accepted"] * 2 + ["planned"] * 10


def test_quiet_hours_put_a_message_off_to_their_end(store: Store) -> None:
    plan(store, ["ann"])
    night = QuietHours(time_of_day(21), time_of_day(8))
    late = datetime(2026, 11, 23, 22, 0)
    report = deliver(store, parts(now=late, quiet_hours=lambda message: night), options())
    assert (report.sent, report.outcomes["postponed"]) == (0, 1)
    assert report.next_due_at == datetime(2026, 11, 24, 7, 0)
    assert (
        deliver(store, parts(now=datetime(2026, 11, 24, 7, 0), quiet_hours=lambda message: night), options()).sent == 1
    )


def test_whether_it_still_holds_is_asked_once_for_all_that_is_due(store: Store) -> None:
    plan(store, PEOPLE)
    asked: list[Candidates] = []

    def still_true(due: Candidates, now: datetime) -> Recheck:
        asked.append(due)
        return Recheck({message_id: "no_longer_true" for message_id, _, customer, *_ in due if customer < "c06"})

    report = deliver(store, parts(still_true=still_true), options(concurrency=2))
    assert [len(due) for due in asked] == [12]
    assert (report.sent, report.stopped) == (6, {"no_longer_true": 6})
    assert states(store)["c00"] == "cancelled"


def test_it_is_asked_again_after_recheck_after(store: Store) -> None:
    plan(store, PEOPLE)
    asked: list[int] = []
    ask = parts(Desk(before=lambda: time.sleep(0.02)), still_true=lambda due, now: asked.append(len(due)) or Recheck())  # type: ignore[func-returns-value]
    deliver(store, ask, options(concurrency=1, recheck_after_s=0.05))
    assert len(asked) > 2


def test_when_it_cannot_be_asked_nothing_is_sent_and_nothing_is_lost(store: Store) -> None:
    plan(store, PEOPLE)
    desk = Desk()

    def unreachable(due: Candidates, now: datetime) -> Recheck:
        raise UnavailableError("the warehouse is away")

    with pytest.raises(UnavailableError, match="the warehouse is away"):
        deliver(store, parts(desk, still_true=unreachable), options())
    assert desk.calls == []
    assert set(states(store).values()) == {"planned"}


def test_a_message_the_gate_cannot_judge_is_held_and_listed(store: Store) -> None:
    plan(store, ["ann"], zone="Mars/Base")
    plan(store, ["bob"], rule="other")
    night = QuietHours(time_of_day(21), time_of_day(8))
    report = deliver(store, parts(quiet_hours=lambda message: night), options())
    assert (report.sent, report.outcomes["held"]) == (1, 1)
    assert [(one.customer_id, one.outcome) for one in report.failures] == [("ann", "held")]
    assert states(store)["ann"] == "planned"


# What comes of a call.


def test_a_message_that_cannot_be_rendered_fails_alone_with_its_reason(store: Store) -> None:
    plan(store, ["ann"], values_json='{"customer": {"name": null}}')
    plan(store, ["bob"], rule="other")
    report = deliver(store, parts(), options())
    assert report.sent == 1
    assert [(one.customer_id, one.outcome, one.reason) for one in report.failures] == [
        ("ann", "failed", "customer.name is empty for this customer; guard it with if or default")
    ]
    assert states(store)["ann"] == "failed"
    assert [one.counts for one in store.history_of("ann").exposures] == [False]


def test_one_refused_among_many_harms_nobody_else(store: Store) -> None:
    plan(store, PEOPLE)
    desk = Desk(lambda customer, n: Answer(Result.REFUSED if customer == "c03" else Result.ACCEPTED, detail="550"))
    report = deliver(store, parts(desk), options())
    assert (report.sent, report.outcomes["refused"]) == (11, 1)
    assert states(store)["c03"] == "refused"


def test_a_try_that_failed_for_now_is_made_again_later(store: Store) -> None:
    plan(store, ["ann"])
    desk = Desk(lambda customer, n: Answer(Result.RETRY if n < 3 else Result.ACCEPTED))
    now = NOW
    for wait_s in (0, 30, 60):
        now += timedelta(seconds=wait_s)
        report = deliver(store, parts(desk, now=now), options())
    assert (report.sent, len(desk.calls)) == (1, 3)


def test_after_ten_tries_a_message_has_failed(store: Store) -> None:
    plan(store, ["ann"])
    desk = Desk(lambda customer, n: Answer(Result.RETRY, detail="451"))
    now = NOW
    for _ in range(12):
        deliver(store, parts(desk, now=now), options())
        now += timedelta(hours=1)
    assert (len(desk.calls), states(store)) == (10, {"ann": "failed"})


def test_twenty_refusals_leave_the_rest_planned(store: Store) -> None:
    plan(store, [f"c{n:03}" for n in range(300)])
    desk = Desk(lambda customer, n: Answer(Result.REFUSED, detail="bad template"))
    report = deliver(store, parts(desk), options(concurrency=8))
    assert 20 <= len(desk.calls) <= 28
    assert report.down["email"].startswith("2")
    assert sorted(set(states(store).values())) == ["planned", "refused"]


def test_a_revoked_key_marks_nobody_failed_and_resumes_after_rotation(store: Store) -> None:
    plan(store, PEOPLE)
    report = deliver(store, parts(Desk(lambda customer, n: Answer(Result.CHANNEL_DOWN, detail="401"))), options())
    assert report.down == {"email": "401"}
    assert (report.sent, report.failed, report.waiting) == (0, 0, 12)
    assert set(states(store).values()) == {"planned"}
    assert deliver(store, parts(), options()).sent == 12


def test_a_sandbox_is_never_counted_as_sent(store: Store) -> None:
    plan(store, PEOPLE)
    report = deliver(store, parts(Desk(lambda customer, n: Answer(Result.SANDBOXED, detail="200"))), options())
    assert (report.sent, report.down) == (0, {"email": "200"})
    assert report.outcomes["sandboxed"] >= 1
    assert set(states(store).values()) == {"planned"}


def test_throttling_slows_the_channel_and_burns_no_attempt(store: Store) -> None:
    plan(store, PEOPLE)
    desk = Desk(
        lambda customer, n: (
            Answer(Result.ACCEPTED) if n > 1 else Answer(Result.RETRY, retry_after_s=0.0, of_channel=True)
        )
    )
    report = deliver(store, parts(desk), options(concurrency=12))
    assert report.sent == 12
    assert all(message.state == "accepted" for customer in PEOPLE for message in store.history_of(customer).messages)


def test_an_unreachable_channel_leaves_rows_planned_and_none_in_doubt(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.delivery.pacing.UNREACHABLE_IN_A_ROW", 2)
    plan(store, PEOPLE)
    channels = through_sendgrid("http://127.0.0.1:1")
    report = deliver(store, parts(channels=channels), options())
    assert "email" in report.down
    assert set(states(store).values()) == {"planned"}


def test_in_doubt_is_kept_and_not_sent_again(store: Store) -> None:
    plan(store, PEOPLE)
    with FakeSendGrid(lambda n, body: Fault(500, takes=True) if n % 4 == 0 else OK) as server:
        for _ in range(3):
            deliver(store, parts(channels=through_sendgrid(server.url)), options())
        assert sorted(server.recipients) == [f"{customer}@example.com" for customer in PEOPLE]
    assert sorted(states(store).values()) == ["accepted"] * 9 + ["in_doubt"] * 3
    assert len(store.outbox.in_doubt()) == 3


def test_a_fault_in_a_channel_is_in_doubt_and_does_not_end_the_delivery(store: Store) -> None:
    plan(store, PEOPLE)

    def broken(customer: str, n: int) -> Answer:
        if customer == "c01":
            raise RuntimeError("a bug")
        return Answer(Result.ACCEPTED)

    report = deliver(store, parts(Desk(broken)), options())
    assert (report.sent, states(store)["c01"]) == (11, "in_doubt")


# Pace, progress and stopping.


def test_calls_are_made_at_once_up_to_the_concurrency(store: Store) -> None:
    plan(store, [f"c{n:03}" for n in range(40)])
    with FakeSendGrid(latency_s=0.05) as server:
        deliver(store, parts(channels=through_sendgrid(server.url)), options(concurrency=8))
        assert server.most_in_flight == 8
        assert server.connections <= 8


def test_the_rate_is_kept(store: Store) -> None:
    plan(store, PEOPLE)
    begun = time.monotonic()
    deliver(store, parts(), options(rate_per_s=20))
    assert time.monotonic() - begun > 0.3  # 12 at 20/s: 5 at once at most, then one every 50 ms


def test_progress_is_told_while_it_goes(store: Store) -> None:
    plan(store, PEOPLE)
    told: list[Progress] = []
    deliver(store, parts(Desk(before=lambda: time.sleep(0.1))), options(concurrency=1), on_progress=told.append)
    assert len(told) >= 3
    assert [one.sent for one in told] == sorted(one.sent for one in told)
    assert told[0].waiting > 0


def test_a_request_to_stop_finishes_the_calls_under_way_and_gives_the_rest_back(store: Store) -> None:
    plan(store, PEOPLE)
    stop = threading.Event()
    desk = Desk(before=lambda: (stop.set(), time.sleep(0.2)))  # type: ignore[arg-type, return-value]
    report = deliver(store, parts(desk), options(concurrency=3), stop=stop)
    assert report.interrupted
    assert report.sent == len(desk.calls) <= 3
    assert set(states(store).values()) == {"accepted", "planned"}


def test_a_secret_that_is_missing_is_told_before_anything_is_claimed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(store, PEOPLE)
    monkeypatch.delenv("TEST_API_KEY")
    with pytest.raises(SetupError, match="TEST_API_KEY"):
        deliver(store, parts(channels=through_sendgrid("http://127.0.0.1:1")), options())
    assert set(states(store).values()) == {"planned"}


# Environments.


def test_a_state_that_wrote_to_a_folder_refuses_a_live_channel_until_go_live(store: Store, tmp_path: Path) -> None:
    plan(store, ["ann"])
    assert deliver(store, parts(channels=through_folder(tmp_path)), options()).sent == 1
    assert len(list((tmp_path / "out").glob("*.eml"))) == 1
    plan(store, ["bob"], rule="other")
    desk = Desk()
    with pytest.raises(HeldError, match="go-live"):
        deliver(store, parts(desk, live=True), options())
    assert desk.calls == []
    assert states(store)["bob"] == "planned"
    store.go_live()
    plan(store, ["cy"])
    assert deliver(store, parts(desk, live=True), options()).sent == 1


def test_a_live_state_refuses_a_folder(store: Store, tmp_path: Path) -> None:
    plan(store, ["ann"])
    deliver(store, parts(Desk(), live=True), options())
    plan(store, ["bob"], rule="other")
    with pytest.raises(HeldError):
        deliver(store, parts(channels=through_folder(tmp_path)), options())


def test_two_deliveries_on_one_sqlite_file_are_one_too_many(store: Store) -> None:
    with store.delivery_lock(), pytest.raises(UnavailableError):
        deliver(store, parts(), options())


def test_two_deliveries_on_postgresql_send_each_mail_once(postgres_url: str) -> None:
    with Store.open(postgres_url) as one, Store.open(postgres_url) as two:
        plan(one, [f"c{n:03}" for n in range(60)])
        desk = Desk(before=lambda: time.sleep(0.01))
        with ThreadPoolExecutor(2) as pool:
            reports = list(pool.map(lambda store: deliver(store, parts(desk), options()), (one, two)))
        assert sum(report.sent for report in reports) == 60
        assert sorted(desk.calls) == [f"c{n:03}" for n in range(60)]


def test_a_channel_given_up_does_not_hold_up_another(store: Store) -> None:
    plan(store, PEOPLE)
    plan(store, ["bob"], rule="other", channel="letters")
    down, good = Desk(lambda customer, n: Answer(Result.CHANNEL_DOWN, detail="403")), Desk()
    channels = {"email": OpenChannel(lambda: down, live=True), "letters": OpenChannel(lambda: good, live=True)}
    report = deliver(store, parts(channels=channels), options())
    assert (good.calls, report.down) == (["bob"], {"email": "403"})
    assert states(store)["c00"] == "planned"
