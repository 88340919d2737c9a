import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_rows import NOW, TODAY, at, begin, claim_one, end, plan, start

from engine.errors import HeldError, UnavailableError
from engine.store import Store, Suppression, address_key
from engine.store.suppressions import KINDS, read_csv, write_csv

SECRET = "s3cret"


def entry(
    address: str = "ann@example.com", kind: str = "unsubscribed", topic: str | None = None, until: date | None = None
) -> Suppression:
    return Suppression.of(SECRET, address, kind, "test", NOW, topic, until)


def canonical(text: str) -> str | None:
    return text.strip().lower() if text.count("@") == 1 else None


def test_the_key_is_a_hash_of_secret_and_address_that_duckdb_agrees_with() -> None:
    duckdb = pytest.importorskip("duckdb")
    theirs = duckdb.connect().execute("SELECT sha256(? || chr(31) || ?)", [SECRET, "ann@example.com"]).fetchone()[0]
    assert address_key(SECRET, "ann@example.com") == theirs
    assert address_key("another", "ann@example.com") != theirs


def test_an_entry_is_kept_once_with_its_first_source(store: Store) -> None:
    later = Suppression.of(SECRET, "ann@example.com", "unsubscribed", "import", at(days=1))
    assert (store.suppressions.add([entry(), entry("bob@example.com")]), store.suppressions.add([later])) == (2, 0)
    assert store.suppressions.of(entry().address_key) == [entry()]


def test_kinds_and_topics_of_one_address_stand_side_by_side(store: Store) -> None:
    entries = [entry(), entry(topic="win-back"), entry(kind="bounced")]
    store.suppressions.add(entries)
    assert {(found.kind, found.topic) for found in store.suppressions.listed()} == {
        ("unsubscribed", None), ("unsubscribed", "win-back"), ("bounced", None)}  # fmt: skip


def test_a_later_date_postpones_and_an_earlier_one_does_not(store: Store) -> None:
    for day in (5, 9, 2):
        store.suppressions.add([entry(kind="not_until", until=date(2026, 4, day))])
    assert [found.until for found in store.suppressions.listed()] == [date(2026, 4, 9)]


def test_rows_for_planning_carry_null_for_all_topics(store: Store) -> None:
    store.suppressions.add([entry(topic="win-back"), entry("bob@example.com", "not_until", until=date(2026, 4, 1))])
    assert sorted(store.suppressions.rows(), key=lambda row: row[1]) == [
        (address_key(SECRET, "bob@example.com"), "not_until", None, "2026-04-01"),
        (address_key(SECRET, "ann@example.com"), "unsubscribed", "win-back", None),
    ]


def test_removing_can_be_narrowed_to_a_kind_and_a_topic(store: Store) -> None:
    store.suppressions.add([entry(), entry(topic="win-back"), entry(kind="bounced"), entry("bob@example.com")])
    key = entry().address_key
    assert store.suppressions.remove(key, "unsubscribed", "win-back") == 1
    assert store.suppressions.remove(key) == 2
    assert store.suppressions.remove(key) == 0
    assert [found.address for found in store.suppressions.listed()] == ["bob@example.com"]


def test_a_csv_is_read_row_by_row_and_each_bad_row_is_named() -> None:
    lines = [
        "email,kind,topic,until,source\n",
        "Ann@Example.com,,,,\n",
        "nobody,,,,\n",
        "bob@example.com,angry,,,\n",
        "bob@example.com,not_until,,2026-04-01,crm\n",
        "bob@example.com,not_until,,,\n",
        "bob@example.com,bounced,,2026-04-01,\n",
        "bob@example.com,not_until,,soon,\n",
        "\n",
        ",,,,\n",
    ]
    entries, problems = read_csv(lines, SECRET, canonical, "import", NOW)
    assert entries == [entry_of("ann@example.com", "unsubscribed", "import"),
                       entry_of("bob@example.com", "not_until", "crm", date(2026, 4, 1))]  # fmt: skip
    assert [line for line, _ in problems] == [3, 4, 6, 7, 8, 10]
    assert problems[0][1] == '"nobody" is not an e-mail address'
    assert problems[1][1].startswith('unknown kind "angry"; expected unsubscribed, bounced')


def entry_of(address: str, kind: str, source: str, until: date | None = None) -> Suppression:
    return Suppression.of(SECRET, address, kind, source, NOW, None, until)


def test_an_erased_persons_entry_can_be_carried_by_its_key_alone() -> None:
    key = address_key(SECRET, "gone@example.com")
    entries, problems = read_csv(
        ["address_key,kind", f"{key},erased", "short,erased"], SECRET, canonical, "import", NOW
    )
    assert entries == [Suppression(key, None, "erased", None, None, "import", NOW)]
    assert [line for line, _ in problems] == [3]


local_part = st.text("abc+=-'!.", min_size=1, max_size=8)


@given(st.lists(st.tuples(local_part, st.sampled_from(KINDS), st.sampled_from([None, "win-back", "=cmd"]))))
def test_what_is_exported_can_be_imported(made: list[tuple[str, str, str | None]]) -> None:
    entries = [
        Suppression.of(SECRET, f"{local}@example.com", kind, "test", NOW, topic, TODAY if kind == "not_until" else None)
        for local, kind, topic in made
    ]
    file = io.StringIO()
    assert write_csv(entries, file) == len(entries)
    assert read_csv(io.StringIO(file.getvalue()), SECRET, canonical, "other", NOW) == (entries, [])


@pytest.mark.parametrize("start_of_cell", ["=", "+", "-", "@", "\t", "\r"])
def test_no_exported_cell_is_a_formula(start_of_cell: str) -> None:
    file = io.StringIO()
    write_csv([Suppression("k" * 64, f"{start_of_cell}x@example.com", "bounced", None, None, "test", NOW)], file)
    assert file.getvalue().splitlines()[-1].lstrip('"').startswith("'") or f"'{start_of_cell}x" in file.getvalue()


# ---- pauses, approvals, environments ----


def test_pausing_and_resuming(store: Store) -> None:
    store.switches.pause("quiet", NOW)
    store.switches.pause("quiet", at(days=1))
    store.switches.pause("*", NOW)
    assert store.switches.paused() == {"*": NOW, "quiet": NOW}
    assert [store.switches.resume("quiet") for _ in range(2)] == [True, False]
    assert store.switches.paused() == {"*": NOW}


def test_approving_a_held_rule_once(store: Store) -> None:
    run = begin(store)
    store.runs.finish(
        run.id, [("quiet", "held", "held_for_review", 900), ("other", "held", "stale_table", 5)], {}, {}, NOW
    )
    assert [(held.rule, held.reason, held.n) for held in store.status(NOW).held] == [
        ("other", "stale_table", 5), ("quiet", "held_for_review", 900)]  # fmt: skip
    for later in (0, 1):
        store.switches.approve(run.id, "quiet", at(days=later))
    assert store.switches.approvals(run.id) == store.switches.approvals() == [(run.id, "quiet", NOW)]
    assert [held.rule for held in store.status(NOW).held] == ["other"]


def test_a_state_belongs_to_the_environment_of_its_first_delivery(store: Store) -> None:
    assert store.install.environment() is None
    for _ in range(2):
        store.install.bind("folder")
    assert store.install.environment() == "folder"
    with pytest.raises(HeldError, match="`holdfast go-live`"):
        store.install.bind("live")


def test_going_live_begins_anew_and_keeps_suppressions_and_pauses(store: Store) -> None:
    plan(store, begin(store), "ann")
    claimed = claim_one(store)
    end(store, claimed, start(store, claimed))
    store.install.bind("folder")
    store.suppressions.add([entry()])
    store.switches.pause("quiet", NOW)
    before = store.install.id

    store.go_live()

    assert store.install.id != before
    assert (store.runs.recent(), store.outbox.counts(), store.ledger.rules_with_memory()) == ([], {}, set())
    assert store.history_of("ann").decisions == ()
    assert (len(list(store.suppressions.listed())), store.switches.paused()) == (1, {"quiet": NOW})
    store.install.bind("live")
    assert plan(store, begin(store), "ann").conflicts == {}


# ---- copies ----


def test_a_backup_holds_what_was_committed_and_opens_as_a_state(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    with Store.open("sqlite:///state.db", folder) as store:
        plan(store, begin(store), "ann")
        for _ in range(2):
            store.backup(folder / "copy.db")
        plan(store, begin(store), "bob")
        with pytest.raises(UnavailableError, match="is the state itself"):
            store.backup(folder / "state.db")
        with pytest.raises(UnavailableError, match="cannot copy"):
            store.backup(folder / "no such folder" / "copy.db")
    assert (folder / "copy.db").stat().st_mode & 0o777 == 0o600
    assert not list(folder.glob("*.part"))
    with Store.open("sqlite:///copy.db", folder) as copy:
        assert copy.outbox.counts() == {"planned": 1}


def test_backing_up_postgresql_is_left_to_its_own_tool(postgres_url: str, tmp_path: object) -> None:
    from pathlib import Path

    with Store.open(postgres_url) as store, pytest.raises(UnavailableError, match="pg_dump"):
        store.backup(Path(str(tmp_path)) / "copy.db")


def test_status_tells_how_things_stand(store: Store) -> None:
    run = begin(store)
    plan(store, run, "ann", "bob")
    store.runs.finish(run.id, [("quiet", "send", "due", 2)], {}, {}, NOW)
    claim_one(store)
    found = store.status(at(hours=1))
    assert ([row.id for row in found.runs], found.outbox, found.oldest_waiting) == (
        [run.id],
        {"claimed": 1, "planned": 1},
        NOW,
    )
    assert (found.held, found.paused) == ((), {})
