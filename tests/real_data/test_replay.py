"""Half a year of daily runs over CDNOW's 23,570 customers: what must hold whatever the days bring."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from engine import Project
from engine.run import RunReport, daily_run
from engine.store import Store
from tests.real_data.cdnow_project import gz_relation, write_project

FIRST, LAST = date(1998, 1, 1), date(1998, 6, 30)
DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
CAPS = {1: 1, 7: 1, 30: 2}
"""Window in days to most messages in it: tighter than the defaults, so that they bite."""

CAPS_YAML = "caps: {all: [1/1 day, 1/7 days, 2/30 days]}"
RULES = {
    "quiet": """rule: quiet
status: active
priority: 60
trigger: {inactivity: {for: 30 days}}
steps:
  - send: hello
  - {wait: 9 days, send: hello, id: again}
""",
    "thanks": """rule: thanks
status: active
topic: thanks
trigger: {event: {name: purchase, within: 5 days, min_count: 2}}
repeat_after: 10 days
steps: [{send: hello, id: thanks}]
""",
}


class Replay:
    """All days run once, in order, against one state."""

    def __init__(self, folder: Path, path: Path) -> None:
        with duckdb.connect(str(folder / "shop.duckdb")) as db:
            purchases = gz_relation(path)
            db.execute(
                f"CREATE TABLE events AS SELECT customer_id, 'purchase' AS name, date::TIMESTAMP AS \"at\" FROM {purchases}"
            )
            # Two customers in a hundred share their address with the one before them.
            address = (
                "printf('%05d@example.com', customer_id::INT - CASE WHEN customer_id::INT % 50 = 0 THEN 1 ELSE 0 END)"
            )
            db.execute(f"CREATE TABLE customers AS SELECT DISTINCT customer_id, {address} AS email FROM {purchases}")
        write_project(folder, "duckdb:///shop.duckdb", "", RULES, id_column="", more=CAPS_YAML)
        config = (folder / "config.yaml").read_text()
        tables = '    customers: {table: customers}\n    events: {table: events}\nschedules: {daily: "00:00"}'
        head, _, tail = config.partition("    customers:")
        (folder / "config.yaml").write_text(head + tables + tail.partition('"00:00"}')[2])
        self.project = Project.load(folder)
        self.store = Store.open(self.project.settings.state.url.reveal(), folder)
        self.reports = [self.run(day) for day in DAYS]

    def run(self, day: date, *, again: bool = False) -> RunReport:
        as_of = self.project.instant(day)
        return daily_run(self.project, self.store, "daily", day, as_of, as_of, again=again)

    def exposures(self) -> list[dict[str, object]]:
        """Everybody written to: rule, customer, occurrence, step, address, date."""
        names = [
            "rule",
            "customer_id",
            "occurrence",
            "step",
            "address_key",
            "topic",
            "class",
            "arm",
            "local_date",
            "counts",
            "account_id",
        ]
        return [
            dict(zip(names, row, strict=True)) for row in self.store.ledger.exposures_since(FIRST - timedelta(days=400))
        ]


@pytest.fixture(scope="module")
def replay(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    played = Replay(tmp_path_factory.mktemp("cdnow"), shared_data / "cdnow" / "cdnow_master.csv.gz")
    yield played
    played.store.close()


def test_every_day_ran_and_wrote_to_somebody(replay: Replay) -> None:
    assert all(report.fresh for report in replay.reports)
    messages = Counter(str(row["rule"]) for row in replay.exposures())
    assert messages["quiet"] > 5_000
    assert messages["thanks"] > 500


def test_each_silence_is_answered_at_most_once(replay: Replay) -> None:
    times = Counter((row["rule"], row["customer_id"], row["occurrence"], row["step"]) for row in replay.exposures())
    assert max(times.values()) == 1


def test_no_cap_is_ever_broken_for_any_address_on_any_date(replay: Replay) -> None:
    dates: dict[object, list[date]] = defaultdict(list)
    for row in replay.exposures():
        dates[row["address_key"]].append(date.fromisoformat(str(row["local_date"])[:10]))
    for days, limit in CAPS.items():
        fullest = max(most_within(sorted(found), days) for found in dates.values())
        assert fullest == limit, f"{days} days"  # kept, and reached


def most_within(days: Sequence[date], window_days: int) -> int:
    """The most dates in any window of so many days."""
    return max(sum(day <= other < day + timedelta(days=window_days) for other in days) for day in days)


def test_a_silence_is_answered_when_it_is_thirty_days_old_and_lasting(replay: Replay) -> None:
    """Nobody gets a first mail before the thirtieth day, or after a purchase that ended the silence."""
    with duckdb.connect(str(replay.project.root / "shop.duckdb"), read_only=True) as db:
        bought = db.execute('SELECT customer_id, list(DISTINCT CAST("at" AS DATE)) FROM events GROUP BY 1').fetchall()
    purchases = dict(bought)
    firsts = [row for row in replay.exposures() if row["rule"] == "quiet" and row["step"] == "hello"]
    for row in firsts:
        sent = date.fromisoformat(str(row["local_date"])[:10])
        last = max(day for day in purchases[row["customer_id"]] if day < sent)
        assert str(row["occurrence"]) == str(last)
        assert sent - last >= timedelta(days=30)


def test_running_any_date_once_more_sends_nothing(replay: Replay) -> None:
    before = len(replay.exposures())
    for day in DAYS:
        report = replay.run(day)
        assert not report.fresh
        assert report.written.messages == 0
    assert len(replay.exposures()) == before


def test_planning_the_last_date_anew_sends_nothing_twice(replay: Replay) -> None:
    before = {(row["rule"], row["customer_id"], row["occurrence"], row["step"]) for row in replay.exposures()}
    report = replay.run(LAST, again=True)
    assert report.fresh
    assert report.written.messages == 0
    after = [(row["rule"], row["customer_id"], row["occurrence"], row["step"]) for row in replay.exposures()]
    assert set(after) == before
    assert len(after) == len(before)
