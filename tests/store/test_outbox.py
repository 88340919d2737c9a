import re
import threading
from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from store_rows import (
    NOW,
    OCCURRENCE,
    TODAY,
    at,
    begin,
    claim_one,
    end,
    exposure,
    message,
    plan,
    settling,
    start,
    state_of,
)

from engine.store import Outcome, Start, Stop, Store, Suppression, Wait


@pytest.fixture
def ready(store: Store) -> Store:
    """A store with one message, for Ann, due now."""
    plan(store, begin(store), "ann")
    return store


def claimed_keys(store: Store, limit: int, now: datetime = NOW) -> list[str]:
    return [found.key for found in store.outbox.claim(now, limit, "me", 60)]


# ---- claiming ----


def test_a_claimed_message_carries_all_that_sending_needs(ready: Store) -> None:
    claimed = claim_one(ready)
    assert (claimed.key, claimed.rule, claimed.recipient, claimed.class_) == (
        "quiet/ann",
        "quiet",
        "ann@example.com",
        "marketing",
    )
    assert (claimed.values_json, claimed.zone, claimed.snapshot_sha) == (
        '{"customer": {"name": "Zoë"}}',
        "Europe/London",
        "sha-1",
    )
    assert (claimed.not_before, claimed.expires_at, claimed.attempts, claimed.token) == (NOW, None, 0, 1)


def test_a_message_is_claimed_once(ready: Store) -> None:
    assert claimed_keys(ready, 5) == ["quiet/ann"]
    assert claimed_keys(ready, 5) == []


def test_a_message_is_due_from_its_very_instant_on(ready: Store) -> None:
    assert claimed_keys(ready, 5, NOW - timedelta(microseconds=1)) == []
    assert claimed_keys(ready, 5, NOW) == ["quiet/ann"]


def test_service_and_legal_mail_leaves_before_marketing(store: Store) -> None:
    run = begin(store)
    plan(store, run, "ann", rule="a-marketing", not_before=at(hours=-5))
    plan(store, run, "bob", rule="z-service", class_="service")
    plan(store, run, "eve", rule="y-legal", class_="legal")
    assert claimed_keys(store, 10) == ["y-legal/eve", "z-service/bob", "a-marketing/ann"]


def test_a_rule_with_many_messages_does_not_starve_the_others(store: Store) -> None:
    run = begin(store)
    plan(store, run, *[f"c{n}" for n in range(50)], rule="loud")
    plan(store, run, "ann", "bob", rule="calm")
    plan(store, run, "eve", rule="shy")
    first = Counter(key.split("/")[0] for key in claimed_keys(store, 9))
    assert first == {"loud": 6, "calm": 2, "shy": 1}


def test_the_rules_take_turns_within_a_claim(store: Store) -> None:
    run = begin(store)
    for rule in ("a", "b"):
        plan(store, run, "ann", "bob", rule=rule)
    assert [key[0] for key in claimed_keys(store, 4)] == ["a", "b", "a", "b"]


@pytest.mark.parametrize("limit", [0, 1, 7, 29, 30, 31])
def test_a_claim_takes_exactly_what_there_is_room_for(store: Store, limit: int) -> None:
    run = begin(store)
    for rule in ("a", "b", "c"):
        plan(store, run, *[f"c{n}" for n in range(10)], rule=rule)
    assert len(claimed_keys(store, limit)) == min(limit, 30)


def test_rules_that_are_not_due_yet_leave_the_room_to_those_that_are(store: Store) -> None:
    run = begin(store)
    for rule in ("a", "b", "c"):
        plan(store, run, "ann", rule=rule, not_before=at(hours=1))
    plan(store, run, "ann", "bob", rule="d")
    assert claimed_keys(store, 2) == ["d/ann", "d/bob"]


def test_the_oldest_due_message_of_a_rule_goes_first(store: Store) -> None:
    run = begin(store)
    plan(store, run, "late")
    plan(store, run, "early", not_before=at(hours=-1))
    assert claimed_keys(store, 1) == ["quiet/early"]


def test_claims_by_four_threads_never_overlap(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        run = begin(store)
        for rule in ("a", "b", "c"):
            plan(store, run, *[f"c{n}" for n in range(400)], rule=rule)
        taken: list[list[int]] = [[] for _ in range(4)]
        gate = threading.Barrier(4)

        def work(number: int) -> None:
            gate.wait()
            for _ in range(60):
                taken[number] += [found.id for found in store.outbox.claim(NOW, 20, f"worker-{number}", 60)]

        workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        everything = [message_id for part in taken for message_id in part]
        assert len(everything) == len(set(everything)) == 1200


def test_a_worker_steps_around_rows_another_one_is_just_claiming(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        plan(store, begin(store), *[f"c{n}" for n in range(10)])
        claimed: list[int] = []
        worker = threading.Thread(
            target=lambda: claimed.extend(found.id for found in store.outbox.claim(NOW, 10, "me", 60)), daemon=True
        )
        with store._database.write() as connection:
            taken = set(connection.exec_driver_sql("SELECT id FROM message ORDER BY id LIMIT 4 FOR UPDATE").scalars())
            worker.start()
            worker.join(timeout=10)
            assert not worker.is_alive()
        assert len(claimed) == 6
        assert not taken & set(claimed)


# ---- attempts ----


def test_an_attempt_is_on_record_before_the_call_is_made(ready: Store) -> None:
    attempt_id = start(ready, claim_one(ready))
    (found,) = ready.history_of("ann").messages
    assert (found.state, [call.id for call in found.attempts], found.attempts[0].result) == (
        "sending",
        [attempt_id],
        None,
    )


def test_an_accepted_message_keeps_the_providers_id(ready: Store) -> None:
    claimed = claim_one(ready)
    assert end(ready, claimed, start(ready, claimed), provider_id="X1", detail="202") == frozenset()
    (found,) = ready.history_of("ann").messages
    (call,) = found.attempts
    assert (found.state, call.result, call.provider_id, call.detail, call.finished_at) == (
        "accepted",
        "accepted",
        "X1",
        "202",
        NOW,
    )


def test_one_transaction_stores_outcomes_and_opens_the_next_attempts(store: Store) -> None:
    plan(store, begin(store), "ann", "bob")
    first, second = store.outbox.claim(NOW, 2, "me", 60)
    outcome = Outcome(first.id, first.token, start(store, first), "accepted", "accepted")
    recorded = store.outbox.record([outcome], [Start(second.id, second.token)], "me", NOW, 60)
    assert set(recorded.attempts) == {second.id}
    assert store.outbox.counts() == {"accepted": 1, "sending": 1}


def test_a_retry_waits_until_its_instant_and_counts(ready: Store) -> None:
    claimed = claim_one(ready)
    end(ready, claimed, start(ready, claimed), "retry_wait", result="not_sent", next_attempt_at=at(minutes=5))
    assert claimed_keys(ready, 1, at(minutes=4)) == []
    again = claim_one(ready, now=at(minutes=5))
    assert (again.attempts, again.token, again.not_before) == (1, 2, NOW)


def test_a_throttled_try_brings_a_message_no_nearer_to_giving_up(ready: Store) -> None:
    claimed = claim_one(ready)
    end(ready, claimed, start(ready, claimed), "planned", result="throttled", counts=False)
    again = claim_one(ready)
    assert again.attempts == 0
    assert len(ready.history_of("ann").messages[0].attempts) == 1


def test_a_message_is_not_started_twice_under_one_claim(ready: Store) -> None:
    claimed = claim_one(ready)
    start(ready, claimed)
    recorded = ready.outbox.record([], [Start(claimed.id, claimed.token)], "me", NOW, 60)
    assert (recorded.attempts, recorded.stale) == ({}, {claimed.id})


def test_another_owner_cannot_start_what_i_claimed(ready: Store) -> None:
    claimed = claim_one(ready)
    assert ready.outbox.record([], [Start(claimed.id, claimed.token)], "you", NOW, 60).stale == {claimed.id}


def lose_lease(store: Store) -> None:
    """Let every lease end: by the server's clock on PostgreSQL, by ours on SQLite."""
    with store._database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE message SET lease_until = '2001-01-01 00:00:00.000000' WHERE lease_until IS NOT NULL"
        )


def test_a_stale_token_starts_nothing(ready: Store) -> None:
    stale = claim_one(ready)
    lose_lease(ready)
    fresh = claim_one(ready, owner="you")
    recorded = ready.outbox.record([], [Start(stale.id, stale.token)], "me", NOW, 60)
    assert (recorded.attempts, recorded.stale) == ({}, {stale.id})
    assert fresh.token == stale.token + 1
    start(ready, fresh, owner="you")


def test_a_stale_outcome_is_kept_as_evidence_and_moves_no_message(ready: Store) -> None:
    first = claim_one(ready)
    first_attempt = start(ready, first)
    end(ready, first, first_attempt, "planned", result="in_doubt")  # reconciled: to be sent again
    second = claim_one(ready)
    start(ready, second)

    assert end(ready, first, first_attempt, "accepted", provider_id="late") == {first.id}
    (found,) = ready.history_of("ann").messages
    assert found.state == "sending"
    assert [(call.result, call.provider_id) for call in found.attempts] == [("accepted", "late"), (None, None)]


def test_an_outcome_for_another_messages_attempt_does_not_touch_it(store: Store) -> None:
    plan(store, begin(store), "ann", "bob")
    first, second = store.outbox.claim(NOW, 2, "me", 60)
    attempts = store.outbox.record(
        [], [Start(first.id, first.token), Start(second.id, second.token)], "me", NOW, 60
    ).attempts
    end(store, first, attempts[second.id], "accepted")
    assert store.history_of(second.customer_id).messages[0].attempts[0].result is None


def test_a_late_answer_settles_a_message_in_doubt(ready: Store) -> None:
    claimed = claim_one(ready)
    attempt_id = start(ready, claimed)
    lose_lease(ready)
    assert claimed_keys(ready, 1) == []
    assert state_of(ready, "ann") == "in_doubt"
    assert end(ready, claimed, attempt_id) == frozenset()
    assert state_of(ready, "ann") == "accepted"


# ---- leases, crashes, giving back ----


def test_an_ended_lease_frees_what_was_claimed_and_doubts_what_was_sent(store: Store) -> None:
    plan(store, begin(store), "ann", "bob")
    first, second = store.outbox.claim(NOW, 2, "me", 60)
    attempt_id = start(store, first)
    lose_lease(store)

    assert [found.id for found in store.outbox.claim(NOW, 5, "you", 60)] == [second.id]
    (doubt,) = store.outbox.in_doubt()
    assert (doubt.message_id, doubt.attempt_id, doubt.token, doubt.started_at) == (
        first.id,
        attempt_id,
        first.token,
        NOW,
    )
    assert store.history_of(first.customer_id).messages[0].attempts[0].result == "in_doubt"


def test_losing_a_second_attempt_does_not_touch_the_result_of_the_first(ready: Store) -> None:
    first = claim_one(ready)
    end(ready, first, start(ready, first), "retry_wait", result="not_sent")
    start(ready, claim_one(ready))
    lose_lease(ready)
    claimed_keys(ready, 1)
    assert [call.result for call in ready.history_of("ann").messages[0].attempts] == ["not_sent", "in_doubt"]


def test_a_lease_on_sqlite_ends_by_the_engines_clock(tmp_path: object) -> None:
    with Store.open(f"sqlite:///{tmp_path}/state.db") as store:
        plan(store, begin(store), "ann")
        assert claimed_keys(store, 1) == ["quiet/ann"]
        assert claimed_keys(store, 1, at(seconds=60)) == []
        assert claimed_keys(store, 1, at(seconds=61)) == ["quiet/ann"]


def test_a_lease_on_postgresql_ends_by_the_servers_clock(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        plan(store, begin(store), "ann")
        assert len(store.outbox.claim(NOW, 1, "me", 0.3)) == 1
        assert claimed_keys(store, 1, at(days=3)) == []
        threading.Event().wait(0.4)
        assert claimed_keys(store, 1) == ["quiet/ann"]


def test_recovering_takes_over_at_once_on_sqlite_and_waits_for_leases_on_postgresql(store: Store) -> None:
    plan(store, begin(store), "ann", "bob")
    start(store, store.outbox.claim(NOW, 2, "me", 3600)[0])
    store.outbox.recover(NOW)
    after = {"planned": 1, "in_doubt": 1} if store.kind == "sqlite" else {"claimed": 1, "sending": 1}
    assert store.outbox.counts() == after


def test_releasing_gives_back_what_is_mine_and_not_being_sent(store: Store) -> None:
    plan(store, begin(store), "ann", "bob", "eve", "zoe")
    first, second, _third = store.outbox.claim(NOW, 3, "me", 60)
    store.outbox.claim(NOW, 1, "you", 60)
    start(store, first)
    assert store.outbox.release("me", [second.id]) == 1
    assert store.outbox.release("me") == 1
    assert store.outbox.counts() == {"claimed": 1, "planned": 2, "sending": 1}


# ---- stopping ----


def stopped(store: Store, **other: object) -> int:
    claimed = claim_one(store)
    values = {
        "state": "suppressed",
        "reason": "unsubscribed",
        "local_date": TODAY + timedelta(days=2),
        "token": claimed.token,
    }
    return store.outbox.stop([Stop(message_id=claimed.id, **{**values, **other})])  # type: ignore[arg-type]


def test_a_stopped_message_takes_its_exposure_back_and_stays_settled(ready: Store) -> None:
    assert stopped(ready) == 1
    found = ready.history_of("ann")
    assert (found.messages[0].state, found.messages[0].reason) == ("suppressed", "unsubscribed")
    assert not found.exposures[0].counts
    assert (found.settled[0].how, found.settled[0].local_date) == ("stopped", TODAY + timedelta(days=2))


def test_stopping_one_customer_leaves_the_others_alone(store: Store) -> None:
    run = begin(store)
    plan(store, run, "ann")
    store.ledger.write_chunk(
        run.id, "2", [], [settling("bob"), settling("ann", "other")], [exposure("bob"), exposure("ann", "other")], []
    )
    stopped(store)
    kept = list(store.ledger.exposures_since(TODAY))
    assert sorted((row[0], row[1], row[9]) for row in kept) == [
        ("other", "ann", True),
        ("quiet", "ann", False),
        ("quiet", "bob", True),
    ]


def test_a_message_claimed_by_another_since_is_not_stopped(ready: Store) -> None:
    assert stopped(ready, token=99) == 0
    assert ready.history_of("ann").exposures[0].counts


@pytest.mark.parametrize("state", ["accepted", "in_doubt", "refused", "unknown"])
def test_what_may_have_been_sent_is_not_stopped(ready: Store, state: str) -> None:
    claimed = claim_one(ready)
    end(ready, claimed, start(ready, claimed), state)
    assert ready.outbox.stop([Stop(claimed.id, "cancelled", "by hand", TODAY)]) == 0
    assert ready.history_of("ann").exposures[0].counts


def test_a_waiting_message_can_be_stopped_without_a_claim(ready: Store) -> None:
    (found,) = ready.history_of("ann").messages
    assert ready.outbox.stop([Stop(found.id, "cancelled", "by hand", TODAY)]) == 1
    assert claimed_keys(ready, 1) == []


# ---- the gate's facts ----


def gate(store: Store, now: datetime = NOW) -> object:
    claimed = claim_one(store, now=max(now, NOW))
    return store.outbox.gate_rows([claimed.id], now)[claimed.id]


def suppress(store: Store, kind: str = "unsubscribed", topic: str | None = None, customer: str = "ann") -> None:
    store.suppressions.add([Suppression(f"key-{customer}", None, kind, topic, None, "test", NOW)])


def test_the_gate_sees_nothing_against_an_ordinary_message(ready: Store) -> None:
    found = gate(ready)
    assert (found.state, found.token, found.paused, found.rule_paused, found.expired, found.suppressions) == (  # type: ignore[attr-defined]
        "claimed", 1, False, False, False, ())  # fmt: skip


def test_the_gate_sees_suppressions_of_all_topics_and_of_the_messages_own(ready: Store) -> None:
    suppress(ready, "bounced")
    suppress(ready, "unsubscribed", "win-back")
    suppress(ready, "complained", "another-topic")
    suppress(ready, "erased", customer="bob")
    assert gate(ready).suppressions == (("bounced", "", None), ("unsubscribed", "win-back", None))  # type: ignore[attr-defined]


def test_the_gate_sees_pauses(ready: Store) -> None:
    claimed = claim_one(ready)
    ready.switches.pause("quiet", NOW)
    ready.switches.pause("another", NOW)
    assert ready.outbox.gate_rows([claimed.id], NOW)[claimed.id].rule_paused
    ready.switches.resume("quiet")
    ready.switches.pause("*", NOW)
    found = ready.outbox.gate_rows([claimed.id], NOW)[claimed.id]
    assert (found.paused, found.rule_paused) == (True, False)


@pytest.mark.parametrize(("seconds_left", "expired"), [(1, False), (0, True), (-1, True)])
def test_a_message_has_expired_from_its_very_instant_on(store: Store, seconds_left: int, expired: bool) -> None:
    plan(store, begin(store), "ann", expires_at=at(seconds=seconds_left))
    assert gate(store).expired is expired  # type: ignore[attr-defined]


def test_an_unknown_message_has_no_gate_row(ready: Store) -> None:
    assert ready.outbox.gate_rows([12345], NOW) == {}


def test_candidates_due_for_the_recheck_are_the_claimed_and_the_due(store: Store) -> None:
    run = begin(store)
    plan(store, run, "ann", "bob")
    plan(store, run, "eve", not_before=at(hours=1))
    claim_one(store)
    found = sorted(row[1:5] for row in store.outbox.due_candidates(NOW))
    assert found == [("quiet", "ann", OCCURRENCE, "one"), ("quiet", "bob", OCCURRENCE, "one")]


# ---- figures ----


def test_figures_of_the_outbox(store: Store) -> None:
    assert (store.outbox.oldest_waiting(NOW), store.outbox.next_due_at(), store.outbox.due_count(NOW)) == (
        None,
        None,
        0,
    )
    run = begin(store)
    plan(store, run, "ann", not_before=at(hours=-2))
    plan(store, run, "bob", not_before=at(hours=3))
    assert (store.outbox.oldest_waiting(NOW), store.outbox.next_due_at(), store.outbox.due_count(NOW)) == (
        at(hours=-2),
        at(hours=-2),
        1,
    )
    claim_one(store)
    assert (store.outbox.oldest_waiting(NOW), store.outbox.next_due_at(), store.outbox.due_count(NOW)) == (
        None,
        at(hours=3),
        0,
    )


@pytest.mark.parametrize("name", ["claim", "queues", "end_overdue", "lock", "send", "open_attempts", "gate"])
def test_no_frequent_statement_looks_at_every_message(tmp_path: object, name: str) -> None:
    with Store.open(f"sqlite:///{tmp_path}/state.db") as store, store._database.read() as connection:
        sentence = getattr(store.outbox._sql, name)
        values = dict.fromkeys(re.findall(r":(\w+)", str(sentence)), "[]")
        plan_of_it = connection.execute(text(f"EXPLAIN QUERY PLAN {sentence}"), values)
        steps = [row[3] for row in plan_of_it]
        assert not [step for step in steps if step in {"SCAN message", "SCAN m", "SCAN d"}], steps
        assert any("message" in step or " m " in step or " d " in step for step in steps), steps


def test_closing_decisions_looks_them_up(tmp_path: object) -> None:
    with Store.open(f"sqlite:///{tmp_path}/state.db") as store, store._database.read() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE closing (rule, customer_id, occurrence, step)")
        steps = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN UPDATE decision AS d SET closed_by = 1 FROM closing s WHERE d.rule = s.rule AND "
            "d.customer_id = s.customer_id AND d.occurrence = s.occurrence AND d.step = s.step AND d.closed_by IS NULL"
        )
        index = "ix_decision_standing (rule=? AND customer_id=? AND occurrence=? AND step=?)"
        assert any(index in row[3] for row in steps)


def test_a_key_belongs_to_one_message_for_ever(ready: Store) -> None:
    claimed = claim_one(ready)
    end(ready, claimed, start(ready, claimed))
    ready.runs.finish(1, [], {}, {}, NOW)
    run = begin(ready, TODAY + timedelta(days=1))
    assert ready.ledger.write_chunk(run.id, "1", [], [], [], [message("ann")]).conflicts == {"message": 1}
    assert claimed_keys(ready, 1, at(days=9)) == []


def test_a_claim_can_be_limited_to_channels_and_spare_rules(store: Store) -> None:
    run = begin(store)
    plan(store, run, "ann", rule="a")
    plan(store, run, "bob", rule="b")
    assert store.outbox.claim(NOW, 5, "me", 60, channels=["sms"]) == []
    assert [found.rule for found in store.outbox.claim(NOW, 5, "me", 60, channels=["email"], without_rules=["a"])] == [
        "b"
    ]
    assert [found.rule for found in store.outbox.claim(NOW, 5, "me", 60)] == ["a"]


def test_a_claimed_message_can_be_put_off_without_an_attempt(ready: Store) -> None:
    claimed = claim_one(ready)
    assert ready.outbox.postpone([Wait(claimed.id, 99, at(hours=1))]) == 0
    assert ready.outbox.postpone([Wait(claimed.id, claimed.token, at(hours=1))]) == 1
    assert claimed_keys(ready, 1, at(minutes=59)) == []
    assert claim_one(ready, now=at(hours=1)).attempts == 0
