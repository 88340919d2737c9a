from datetime import date, datetime, timedelta

import pytest
from store_rows import NOW, TODAY, at, begin, decision, message, plan, settling

from engine.store import Store


def test_an_interrupted_run_is_continued_with_what_it_pinned(store: Store) -> None:
    first = begin(store)
    plan(store, first, "ann")
    store.snapshots.save("sha-2", {})

    continued = store.runs.begin("daily", TODAY, at(hours=3), at(days=3), "sha-2", at(hours=3))

    assert (continued.id, continued.n, continued.state, continued.cursor) == (first.id, 1, "planning", "000001")
    assert (continued.as_of, continued.horizon, continued.snapshot_sha) == (first.as_of, first.horizon, "sha-1")


def test_an_interrupted_run_is_continued_even_when_asked_for_another(store: Store) -> None:
    assert begin(store).id == begin(store, again=True).id


def test_a_finished_date_is_reported_and_nothing_begins(store: Store) -> None:
    first = begin(store)
    store.runs.finish(first.id, [], {}, {}, NOW)
    assert begin(store).state == "finished"
    assert [run.id for run in store.runs.recent()] == [first.id]


def test_again_plans_a_finished_date_as_the_next_n(store: Store) -> None:
    first = begin(store)
    store.runs.finish(first.id, [], {}, {}, NOW)
    second = begin(store, again=True, sha="sha-2")
    assert (second.n, second.state, second.snapshot_sha) == (2, "planning", "sha-2")
    assert store.runs.latest("daily", TODAY) == second
    assert store.snapshots.latest_sha() == "sha-2"


def test_another_schedule_has_a_run_of_its_own_on_the_same_date(store: Store) -> None:
    first = begin(store)
    other = store.runs.begin("hourly", TODAY, NOW, at(hours=1), "sha-1", NOW)
    assert (other.n, other.id != first.id) == (1, True)


def test_finishing_twice_keeps_the_first_instant_and_one_set_of_counts(store: Store) -> None:
    run = begin(store)
    for later in (0, 5):
        store.runs.finish(
            run.id, [("quiet", "send", "due", 3)], {"events": "2026-03-01"}, {"events": 10}, at(minutes=later)
        )
    assert store.runs.counts(run.id) == [("quiet", "send", "due", 3)]
    finished = store.runs.get(run.id)
    assert (finished.finished_at, finished.newest, finished.table_rows) == (
        NOW,
        {"events": "2026-03-01"},
        {"events": 10},
    )


def test_table_rows_come_from_the_last_finished_run(store: Store) -> None:
    assert store.runs.table_rows_of_last_run() == {}
    store.runs.finish(begin(store).id, [], {}, {"events": 10}, NOW)
    begin(store, TODAY + timedelta(days=1))
    assert store.runs.table_rows_of_last_run() == {"events": 10}


def test_sends_history_holds_the_newest_runs_of_each_rule_and_their_zeros(store: Store) -> None:
    ids = []
    for day in range(5):
        run = begin(store, TODAY + timedelta(days=day))
        counts = (
            [("quiet", "send", "due", day), ("quiet", "skip", "unsubscribed", 9)]
            if day != 3
            else [("quiet", "wait", "not_due", 1)]
        )
        store.runs.finish(run.id, [*counts, ("other", "send", "due", 100)], {}, {}, NOW)
        ids.append(run.id)
    begin(store, TODAY + timedelta(days=9))

    assert store.runs.rule_sends_history(["quiet"], runs=3) == [
        ("quiet", ids[4], 4),
        ("quiet", ids[3], 0),
        ("quiet", ids[2], 2),
    ]


def test_a_snapshot_is_kept_once_and_never_changed(store: Store) -> None:
    store.snapshots.save("sha", {"rules/ä.yaml": "rule: x"})
    store.snapshots.save("sha", {"rules/ä.yaml": "changed"})
    assert store.snapshots.load("sha") == {"rules/ä.yaml": "rule: x"}
    with pytest.raises(KeyError):
        store.snapshots.load("unknown")


def test_instants_come_back_as_they_were_whatever_the_server_zone(store: Store) -> None:
    # The PostgreSQL test server lives in New York; 2026-03-08 02:30 does not exist there.
    gap = datetime(2026, 3, 8, 2, 30, 0, 1)
    store.snapshots.save("s", {})
    run = store.runs.begin("daily", date(2026, 3, 8), gap, gap + timedelta(days=1), "s", gap)
    assert (store.runs.get(run.id).as_of, store.runs.get(run.id).started_at) == (gap, gap)
    row = list(message("ann", not_before=gap))
    store.ledger.write_chunk(run.id, "1", [decision("ann")], [settling("ann")], [], [tuple(row)])
    (claimed,) = store.outbox.claim(gap, 5, "me", 60)
    assert claimed.not_before == gap
    ((*_, settled_at, anchor, _account),) = store.ledger.settled_of([("quiet", "ann")])
    assert (settled_at, anchor) == ("2026-03-08 02:30:00.000001", "2026-03-01 09:00:00.123456")


def test_an_instant_without_fraction_has_the_same_width_as_any_other(store: Store) -> None:
    run = begin(store)
    store.ledger.write_chunk(run.id, "1", [], [(*settling("ann")[:6], datetime(2026, 3, 1), "")], [], [])
    ((*_, anchor, _account),) = store.ledger.settled_of([("quiet", "ann")])
    assert anchor == "2026-03-01 00:00:00.000000"
