"""Writing a run's rows through the store against the bare driver, in CPU seconds.

    python bench/bench_store.py [ROWS] [PAIRS] [postgresql://URL of an empty database]

Pairs of (bare, store) alternate on fresh tables; the medians are printed. "Bare" is `sqlite3.executemany`, or psycopg's
COPY, into the very same tables with the same indexes, in chunks of the same size, one transaction each.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.store import DECISIONS, EXPOSURES, MESSAGES, SETTLINGS, Outcome, Start, Store

CHUNK = 20_000
NOW = datetime(2026, 3, 1, 9)
TEXT = "2026-03-01 09:00:00.000000"
VALUES = '{"customer": {"name": "Somebody", "locale": "en"}, "fact": {"days_inactive": 31}}'
Rows = list[tuple[Any, ...]]


LADDER = ("2026-01-31", "win-back/offer")


def decisions(numbers: range) -> Rows:
    return [(f"rule-{n % 20}", f"customer-{n}", *LADDER, TEXT, "send", "due", None, 0, "") for n in numbers]


def settlings(numbers: range) -> Rows:
    return [(f"rule-{n % 20}", f"customer-{n}", *LADDER, "2026-03-01", "sent", TEXT, "") for n in numbers]


def exposures(numbers: range) -> Rows:
    rest = ("win-back", "marketing", "treated", "2026-03-01", TEXT, "")
    return [(f"rule-{n % 20}", f"customer-{n}", *LADDER, f"{n:064x}", *rest) for n in numbers]


def messages(numbers: range) -> Rows:
    rest = ("email", "win-back/offer", "marketing", "win-back", "treated", "Europe/London", TEXT, None, VALUES, "")
    return [
        (f"{n * 7919:064x}", f"rule-{n % 20}", f"customer-{n}", *LADDER, f"person{n}@example.com", f"{n:064x}", *rest)
        for n in numbers
    ]


KINDS = {
    "decisions": (DECISIONS, decisions),
    "settlings": (SETTLINGS, settlings),
    "exposures": (EXPOSURES, exposures),
    "messages": (MESSAGES, messages),
}
EXTRA = {
    "decisions": {"run_id": 1, "decided_at": TEXT},
    "settlings": {"run_id": 1, "settled_at": TEXT},
    "exposures": {"run_id": 1, "counts": True},
    "messages": {
        "run_id": 1,
        "snapshot_sha": "a" * 64,
        "state": "planned",
        "attempts": 0,
        "token": 0,
        "deaths": 0,
        "resends": 0,
        "is_test": False,
        "next_attempt_at": TEXT,
    },
}


def chunks(rows: int) -> Iterator[range]:
    return (range(start, min(start + CHUNK, rows)) for start in range(0, rows, CHUNK))


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(write: Callable[[int, Rows], None], made: list[Rows]) -> float:
    before = cpu_s()
    for number, rows in enumerate(made, start=1):
        write(number, rows)
    return cpu_s() - before


def bare(store: Store, kind: str) -> Callable[[int, Rows], None]:
    bulk, _ = KINDS[kind]
    extra = tuple(EXTRA[kind].values())
    columns = ", ".join(f'"{name}"' for name in (*bulk.columns, *EXTRA[kind]))
    places = ", ".join("?" * (len(bulk.columns) + len(extra)))

    def write(_number: int, rows: Rows) -> None:
        with store._database.write() as connection:
            cursor = connection.connection.cursor()
            if store.kind == "sqlite":
                statement = f"INSERT INTO {bulk.table.name} ({columns}) VALUES ({places})"
                cursor.executemany(statement, [row + extra for row in rows])
                return
            with cursor.copy(f"COPY {bulk.table.name} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row + extra)

    return write


def through_store(store: Store, kind: str) -> Callable[[int, Rows], None]:
    def write(number: int, rows: Rows) -> None:
        parts = {name: rows if name == kind else () for name in KINDS}
        store.ledger.write_chunk(1, f"{number:06}", **parts)

    return write


def fresh(url: str | None, folder: Path, name: str) -> Store:
    store = Store.open(url or f"sqlite:///{name}.db", folder)
    store.go_live()
    store.snapshots.save("a" * 64, {})
    with store._database.write() as connection:
        if store.kind == "postgresql":
            connection.exec_driver_sql("ALTER SEQUENCE run_id_seq RESTART")
    store.runs.begin("daily", date(2026, 3, 1), NOW, NOW + timedelta(days=1), "a" * 64, NOW)
    return store


def one_outbox(store: Store, rows: int, batch: int, concurrency: int) -> float:
    """Plan messages, then claim, gate, start and end each, as a delivery does; CPU microseconds per message."""
    for number, numbers in enumerate(chunks(rows), start=1):
        through_store(store, "messages")(number, messages(numbers))
    before, unsaved = cpu_s(), []
    while claimed := store.outbox.claim(NOW, batch, "bench", 60):
        store.outbox.gate_rows([found.id for found in claimed], NOW)
        for begin in range(0, len(claimed), concurrency):
            part = claimed[begin : begin + concurrency]
            starts = [Start(found.id, found.token) for found in part]
            opened = store.outbox.record(unsaved, starts, "bench", NOW, 60).attempts
            unsaved = [Outcome(found.id, found.token, opened[found.id], "accepted", "accepted") for found in part]
    store.outbox.record(unsaved, [], "bench", NOW, 60)
    return (cpu_s() - before) / rows * 1e6


def main() -> None:
    arguments = sys.argv[1:]
    rows = int(arguments[0]) if arguments else 100_000
    pairs = int(arguments[1]) if len(arguments) > 1 else 3
    url = arguments[2] if len(arguments) > 2 else None
    print(f"{rows:,} rows of each kind in chunks of {CHUNK:,}; CPU seconds of this process, median of {pairs}")
    for kind, (_, make) in KINDS.items():
        made = [make(numbers) for numbers in chunks(rows)]
        took: dict[str, list[float]] = {"bare": [], "store": []}
        for pair in range(pairs):
            for way, writer in (("bare", bare), ("store", through_store)):
                with tempfile.TemporaryDirectory() as folder, fresh(url, Path(folder), f"{way}{pair}") as store:
                    took[way].append(timed(writer(store, kind), made))
        driver, ours = (statistics.median(took[way]) for way in ("bare", "store"))
        pace = f"{rows / ours:>9,.0f} rows/s"
        print(f"{kind:>10}: bare {driver:6.2f} s, store {ours:6.2f} s ({pace}), ratio {ours / driver:.2f}")
    for batch, concurrency in ((100, 32), (500, 64)):
        with tempfile.TemporaryDirectory() as folder, fresh(url, Path(folder), "outbox") as store:
            took_us = one_outbox(store, rows, batch, concurrency)
        print(f"    outbox: claims of {batch}, {concurrency} attempts a commit: {took_us:.0f} us of CPU per message")


if __name__ == "__main__":
    main()
