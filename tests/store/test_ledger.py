from datetime import timedelta

import pytest
from store_rows import (
    NOW,
    OCCURRENCE,
    TODAY,
    at,
    begin,
    claim_one,
    decision,
    end,
    exposure,
    message,
    plan,
    settling,
    start,
    state_of,
)

from engine.store import Store

TOMORROW = TODAY + timedelta(days=1)


def standing(store: Store, before_run: int | None = None) -> list[tuple[str, str, str]]:
    found = store.ledger.latest_decisions(["quiet", "other"], before_run)
    return sorted((row[1], row[4], row[5]) for row in found)


def settled(store: Store, *customers: str, before_run: int | None = None) -> list[tuple[str, str]]:
    found = store.ledger.settled_of([("quiet", customer) for customer in customers], before_run)
    return sorted((row[1], row[5]) for row in found)


def test_a_chunk_stores_all_its_rows_and_the_cursor(store: Store) -> None:
    run = begin(store)
    written = plan(store, run, "ann", "bob")
    assert (written.decisions, written.settlings, written.exposures, written.messages, written.conflicts) == (
        2,
        2,
        2,
        2,
        {},
    )
    assert store.runs.get(run.id).cursor == "000001"
    assert store.outbox.counts() == {"planned": 2}


def test_rows_may_hold_text_or_objects(store: Store) -> None:
    run = begin(store)
    plan(store, run, "ann")
    text = "2026-03-01 09:00:00.123456"
    store.ledger.write_chunk(
        run.id, "2",
        [("quiet", "bob", OCCURRENCE, "one", text, "send", "due", None, 0, "")],
        [("quiet", "bob", OCCURRENCE, "one", "2026-03-01", "sent", text, "")],
        [("quiet", "bob", OCCURRENCE, "one", "key-bob", "win-back", "marketing", "treated", "2026-03-01", text, "")],
        [tuple(text if value == NOW else value for value in message("bob"))],
    )  # fmt: skip
    ann, bob = store.history_of("ann"), store.history_of("bob")
    assert ann.settled == bob.settled
    assert ann.exposures == bob.exposures
    assert ann.decisions[0].anchor == bob.decisions[0].anchor == NOW
    assert ann.messages[0].not_before == bob.messages[0].not_before == NOW


def test_a_chunk_is_not_written_twice(store: Store) -> None:
    run = begin(store)
    plan(store, run, "ann", cursor="3")
    with pytest.raises(ValueError, match='already past "3"'):
        plan(store, run, "bob", cursor="3")
    assert store.outbox.counts() == {"planned": 1}


def test_a_finished_run_takes_no_more_chunks(store: Store) -> None:
    run = begin(store)
    store.runs.finish(run.id, [], {}, {}, NOW)
    with pytest.raises(ValueError, match="is finished"):
        plan(store, run, "ann")


def test_a_known_key_is_counted_and_changes_nothing(store: Store) -> None:
    plan(store, begin(store), "ann")
    store.runs.finish(1, [], {}, {}, NOW)
    written = plan(store, begin(store, TOMORROW), "ann", "bob")
    assert written.conflicts == {"settled_step": 1, "exposure": 1, "message": 1}
    assert store.outbox.counts() == {"planned": 2}
    assert [found.run_id for found in store.history_of("ann").messages] == [1]


def test_one_key_twice_in_a_chunk_is_a_conflict_too(store: Store) -> None:
    run = begin(store)
    written = store.ledger.write_chunk(run.id, "1", [], [], [], [message("ann", key="k"), message("bob", key="k")])
    assert (written.messages, written.conflicts) == (1, {"message": 1})


def test_a_broken_row_leaves_nothing_of_its_chunk(store: Store) -> None:
    run = begin(store)
    broken = (*settling("bob")[:5], None, NOW, "")
    with pytest.raises(Exception, match=r"(?i)null"):
        store.ledger.write_chunk(run.id, "1", [decision("ann")], [settling("ann"), broken], [], [])
    assert standing(store) == []
    assert store.runs.get(run.id).cursor == ""


def test_a_new_decision_replaces_the_one_that_stood(store: Store) -> None:
    first, second = begin(store), None
    store.ledger.write_chunk(
        first.id, "1", [decision("ann", outcome="defer", reason="cap"), decision("bob")], [], [], []
    )
    store.runs.finish(first.id, [], {}, {}, NOW)
    second = begin(store, TOMORROW)
    store.ledger.write_chunk(second.id, "1", [decision("ann")], [], [], [])

    assert standing(store) == [("ann", "send", "due"), ("bob", "send", "due")]
    assert [(found.reason, found.closed_by) for found in store.history_of("ann").decisions] == [
        ("cap", second.id),
        ("due", None),
    ]


def test_decisions_of_other_rules_are_not_read(store: Store) -> None:
    run = begin(store)
    store.ledger.write_chunk(run.id, "1", [decision("ann", rule="retired")], [], [], [])
    assert standing(store) == []


def test_a_continued_run_sees_the_memory_it_began_with(store: Store) -> None:
    first = begin(store)
    store.ledger.write_chunk(
        first.id, "1", [decision("ann", outcome="defer", reason="cap")], [settling("ann", "other")], [], []
    )
    store.runs.finish(first.id, [], {}, {}, NOW)
    second = begin(store, TOMORROW)
    store.ledger.write_chunk(
        second.id, "1", [decision("ann"), decision("bob")], [settling("ann")], [exposure("ann")], []
    )

    assert standing(store, before_run=second.id) == [("ann", "defer", "cap")]
    assert settled(store, "ann", before_run=second.id) == []
    assert settled(store, "ann") == [("ann", "sent")]
    assert list(store.ledger.exposures_since(TODAY, second.id)) == []
    assert len(list(store.ledger.exposures_since(TODAY))) == 1


def test_a_vanished_candidate_gets_a_last_decision_and_stands_no_longer(store: Store) -> None:
    first = begin(store)
    store.ledger.write_chunk(
        first.id, "1", [decision("ann", outcome="defer", reason="cap"), decision("bob")], [], [], []
    )
    store.runs.finish(first.id, [], {}, {}, NOW)
    second = begin(store, TOMORROW)

    gone = [("quiet", "ann", OCCURRENCE, "one", ""), ("quiet", "never-seen", OCCURRENCE, "one", "")]
    assert [store.ledger.vanish(second.id, gone) for _ in range(2)] == [1, 0]

    assert standing(store) == [("bob", "send", "due")]
    assert standing(store, before_run=second.id) == [("ann", "defer", "cap"), ("bob", "send", "due")]
    last = store.history_of("ann").decisions[-1]
    assert (last.outcome, last.reason, last.anchor, last.decided_at) == ("skip", "no_longer_matches", NOW, second.as_of)


def test_a_candidate_that_comes_back_stands_again(store: Store) -> None:
    run = begin(store)
    store.ledger.write_chunk(run.id, "1", [decision("ann")], [], [], [])
    store.ledger.vanish(run.id, [("quiet", "ann", OCCURRENCE, "one", "")])
    store.ledger.write_chunk(run.id, "2", [decision("ann", reason="back")], [], [], [])
    assert standing(store) == [("ann", "send", "back")]


def test_only_rules_with_settled_steps_have_memory(store: Store) -> None:
    run = begin(store)
    assert store.ledger.rules_with_memory() == set()
    store.ledger.write_chunk(
        run.id, "1", [decision("x", "d")], [settling(f"c{n}", rule) for rule in "abc" for n in range(5)], [], []
    )
    assert store.ledger.rules_with_memory() == {"a", "b", "c"}


def test_settled_steps_are_read_for_the_pairs_present_only(store: Store) -> None:
    run = begin(store)
    store.ledger.write_chunk(run.id, "1", [], [settling("ann"), settling("bob"), settling("ann", "other")], [], [])
    assert settled(store, "ann", "zoe") == [("ann", "sent")]
    assert list(store.ledger.settled_of([])) == []


def test_history_is_streamed_whole(store: Store) -> None:
    run = begin(store)
    customers = [f"c{n}" for n in range(12_345)]
    store.ledger.write_chunk(run.id, "1", [], [settling(customer) for customer in customers], [], [])
    found = list(store.ledger.settled_of(("quiet", customer) for customer in customers))
    assert {row[1] for row in found} == set(customers)
    assert found[0][4:7] == ("2026-03-01", "sent", "2026-03-01 09:00:00.123456")


def test_exposures_are_read_from_a_date_on(store: Store) -> None:
    run = begin(store)
    rows = [exposure("ann", local_date=TODAY - timedelta(days=days)) for days in (0,)]
    rows += [
        exposure("bob", local_date=TODAY - timedelta(days=7)),
        exposure("eve", arm="control", local_date=TODAY - timedelta(days=8)),
    ]
    store.ledger.write_chunk(run.id, "1", [], [], rows, [])
    found = sorted(store.ledger.exposures_since(TODAY - timedelta(days=7)))
    assert [(row[1], row[4], row[8], row[9]) for row in found] == [
        ("ann", "key-ann", "2026-03-01", True),
        ("bob", "key-bob", "2026-02-22", True),
    ]


# ---- planning a date again ----


def finished(store: Store, *customers: str) -> int:
    run = begin(store)
    plan(store, run, *customers)
    store.runs.finish(run.id, [], {}, {}, NOW)
    return run.id


def test_withdrawing_takes_back_messages_settled_steps_and_exposures(store: Store) -> None:
    run_id = finished(store, "ann", "bob")
    assert [store.ledger.withdraw(run_id) for _ in range(2)] == [2, 0]
    assert store.outbox.counts() == {"cancelled": 2}
    assert settled(store, "ann", "bob") == []
    assert list(store.ledger.exposures_since(TODAY)) == []
    assert store.outbox.claim(NOW, 10, "me", 60) == []


def test_withdrawing_takes_back_a_held_out_customer_as_well(store: Store) -> None:
    run = begin(store)
    store.ledger.write_chunk(run.id, "1", [], [settling("ann", how="held_out")], [exposure("ann", arm="control")], [])
    assert store.ledger.withdraw(run.id) == 0
    assert settled(store, "ann") == []
    assert list(store.ledger.exposures_since(TODAY)) == []


@pytest.mark.parametrize("went_as_far_as", ["claimed", "sending", "accepted", "retry_wait", "back to planned"])
def test_what_somebody_began_to_send_is_not_withdrawn(store: Store, went_as_far_as: str) -> None:
    run_id = finished(store, "ann")
    claimed = claim_one(store)
    if went_as_far_as != "claimed":
        attempt_id = start(store, claimed)
        if went_as_far_as == "back to planned":
            end(store, claimed, attempt_id, "planned", counts=False)
        elif went_as_far_as != "sending":
            end(store, claimed, attempt_id, went_as_far_as)

    assert store.ledger.withdraw(run_id) == 0
    assert settled(store, "ann") == [("ann", "sent")]
    assert len(list(store.ledger.exposures_since(TODAY))) == 1


def test_only_the_candidates_named_are_withdrawn(store: Store) -> None:
    run_id = finished(store, "ann", "bob")
    assert store.ledger.withdraw(run_id, [("quiet", "ann", OCCURRENCE, "")]) == 1
    assert settled(store, "ann", "bob") == [("bob", "sent")]
    assert (state_of(store, "ann"), state_of(store, "bob")) == ("cancelled", "planned")


def test_what_another_run_planned_is_not_withdrawn(store: Store) -> None:
    run_id = finished(store, "ann")
    plan(store, begin(store, TOMORROW), "bob")
    assert store.ledger.withdraw(run_id) == 1
    assert settled(store, "ann", "bob") == [("bob", "sent")]


def test_planning_a_withdrawn_key_again_revives_its_message(store: Store) -> None:
    store.ledger.withdraw(finished(store, "ann", "bob"))
    second = begin(store, again=True, sha="sha-2")
    written = plan(store, second, "ann", not_before=at(hours=1))

    assert written.conflicts == {}
    assert store.outbox.counts() == {"cancelled": 1, "planned": 1}
    assert store.outbox.claim(NOW, 10, "me", 60) == []
    (claimed,) = store.outbox.claim(at(hours=1), 10, "me", 60)
    assert (claimed.customer_id, claimed.run_id, claimed.snapshot_sha) == ("ann", second.id, "sha-2")


def test_a_message_cancelled_for_another_reason_is_not_revived(store: Store) -> None:
    from engine.store import Stop

    finished(store, "ann")
    (claimed,) = store.outbox.claim(NOW, 1, "me", 60)
    store.outbox.stop([Stop(claimed.id, "cancelled", "no_longer_true", TODAY)])
    assert plan(store, begin(store, again=True), "ann").conflicts["message"] == 1
    assert state_of(store, "ann") == "cancelled"


def test_customers_a_rule_has_written_to_are_told_once_each(store: Store) -> None:
    run = begin(store)
    two_steps = [settling("ann"), ("quiet", "ann", OCCURRENCE, "two", TODAY, "sent", NOW, "")]
    rows = [*two_steps, settling("bob", how="held_out"), settling("eve", "other"), settling("zoe", how="stopped")]
    store.ledger.write_chunk(run.id, "1", [], rows, [], [])
    assert list(store.ledger.customers_sent("quiet")) == ["ann"]
    assert list(store.ledger.customers_sent("quiet", before_run=run.id)) == []
