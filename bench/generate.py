"""A made-up company of any size as a DuckDB file, the same bytes of data for the same arguments.

    python bench/generate.py FOLDER [--customers 100000] [--events 5000000]

Writes FOLDER/company.duckdb with the tables `customers`, `subscriptions`, `invoices` and `events`, in the names of the
table contract. 180 days of history end at END. How active customers are follows a power law (weight rank^-0.6, ranks
shuffled); a customer is active from sign-up to an exponentially distributed end, so that close to half have drifted
away by END. Of 30 event names, twenty are features of falling popularity, five are steps of a first week and five are
everyday actions. Everybody has one subscription and on average three invoices, of which one in sixteen has failed.
"""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np

END = datetime(2026, 7, 1)
DAYS = 180
DAY_US = 86_400_000_000
END_US = int((END - datetime(1970, 1, 1)).total_seconds()) * 1_000_000
START_US = END_US - DAYS * DAY_US
SEED = 11
BATCH = 5_000_000

FEATURES = [f"feature_{number:02d}" for number in range(20)]
FIRST_STEPS = [f"step_{number}" for number in range(1, 6)]
ACTIONS = ["login", "view", "export", "invite", "search"]
NAMES = FEATURES + FIRST_STEPS + ACTIONS
POPULARITY = (
    [1 / (1.5 + place) ** 1.1 for place in range(20)] + [0.05, 0.04, 0.03, 0.02, 0.015] + [1.2, 2.5, 0.1, 0.05, 0.4]
)

PLANS, LOCALES = ["free", "basic", "pro", "team"], ["en", "de", "fr", "es", "ja"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"]
DECLINES = ["insufficient_funds", "expired_card", "card_declined", "authentication_required"]

Columns = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    given = parser.parse_args()
    generate(given.folder, given.customers, given.events)


def generate(folder: Path, customers: int, events: int) -> Path:
    """Write the file, unless it is there already; its path."""
    path = folder / "company.duckdb"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    rng = np.random.default_rng(SEED)
    with duckdb.connect(unfinished) as db:
        signed_up_day, first_day, last_day = lives(rng, customers)
        write_customers(db, rng, signed_up_day)
        write_subscriptions(db, rng, signed_up_day)
        write_invoices(db, rng, customers, 3 * customers)
        write_events(db, rng, first_day, last_day, events)
    unfinished.rename(path)
    return path


def lives(rng: np.random.Generator, customers: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Day of sign-up, first and last day of activity, counted from the start; six in ten signed up before it."""
    before, inside = -rng.integers(1, 700, customers), rng.integers(0, DAYS, customers)
    signed_up = np.where(rng.random(customers) < 0.6, before, inside)
    first = np.maximum(signed_up, 0).astype(float)
    last = np.minimum(first + 1 + rng.exponential(DAYS * 1.3, customers), DAYS)
    return signed_up, first, np.maximum(last, first + 0.5)


def write_customers(db: duckdb.DuckDBPyConnection, rng: np.random.Generator, signed_up_day: np.ndarray) -> None:
    count = len(signed_up_day)
    store(
        db, "customers",
        """id AS customer_id, 'user' || id || '@example.com' AS email, $locales[locale] AS locale,
           $zones[zone] AS timezone, $plans[plan] AS plan, make_timestamp(signed_up) AS signed_up_at, consent""",
        {
            "id": np.arange(1, count + 1), "locale": chosen(rng, count, [0.5, 0.2, 0.12, 0.1, 0.08]),
            "zone": chosen(rng, count, [0.25] * 4), "plan": chosen(rng, count, [0.3, 0.35, 0.25, 0.1]),
            "signed_up": START_US + signed_up_day * DAY_US + rng.integers(0, 86_400, count) * 1_000_000,
            "consent": rng.random(count) > 0.05,
        },
        {"locales": LOCALES, "zones": ZONES, "plans": PLANS},
    )  # fmt: skip


def write_subscriptions(db: duckdb.DuckDBPyConnection, rng: np.random.Generator, signed_up_day: np.ndarray) -> None:
    count = len(signed_up_day)
    status = chosen(rng, count, [0.72, 0.08, 0.20])
    store(
        db, "subscriptions",
        """'sub_' || id AS subscription_id, id AS customer_id, $words[status] AS status,
           CASE WHEN yearly THEN 'year' ELSE 'month' END AS "interval", amount AS amount_minor, 'EUR' AS currency,
           make_timestamp(started) AS started_at, CASE WHEN status = 2 THEN make_timestamp(trial_end) END AS trial_end,
           CASE WHEN status <> 3 THEN make_timestamp(renews) END AS current_period_end,
           CASE WHEN status = 3 THEN make_timestamp(ended) END AS ended_at, make_timestamp(expires) AS card_expires_at""",
        {
            "id": np.arange(1, count + 1), "status": status, "yearly": rng.random(count) < 0.3,
            "amount": rng.integers(500, 20_000, count), "started": START_US + (signed_up_day - 1) * DAY_US,
            "trial_end": END_US + within(rng, count, 14), "renews": END_US + within(rng, count, 60),
            "ended": END_US - within(rng, count, 150), "expires": END_US + within(rng, count, 900) - 30 * DAY_US,
        },
        {"words": ["active", "trialing", "canceled"]},
    )  # fmt: skip


def write_invoices(db: duckdb.DuckDBPyConnection, rng: np.random.Generator, customers: int, count: int) -> None:
    """One in sixteen failed; half of those were paid two days later."""
    at = np.sort(START_US + within(rng, count, DAYS))
    failed, recovered = rng.random(count) < 1 / 16, rng.random(count) < 0.5
    store(
        db, "invoices",
        """'in_' || id AS invoice_id, customer AS customer_id, 'sub_' || customer AS subscription_id,
           CASE WHEN failed AND NOT recovered THEN 'open' ELSE 'paid' END AS status, amount AS amount_minor,
           'EUR' AS currency, CASE WHEN failed THEN make_timestamp(due) END AS failed_at,
           CASE WHEN NOT failed THEN make_timestamp(due) WHEN recovered THEN make_timestamp(due) + to_days(2) END AS paid_at,
           CASE WHEN failed THEN $declines[decline] END AS decline_code""",
        {
            "id": np.arange(1, count + 1), "customer": rng.integers(1, customers + 1, count), "due": at,
            "failed": failed, "recovered": recovered, "amount": rng.integers(500, 20_000, count),
            "decline": chosen(rng, count, [0.5, 0.2, 0.2, 0.1]),
        },
        {"declines": DECLINES},
    )  # fmt: skip


def write_events(
    db: duckdb.DuckDBPyConnection, rng: np.random.Generator, first_day: np.ndarray, last_day: np.ndarray, count: int
) -> None:
    """In order of time, as a log grows."""
    customer, second = activity(rng, first_day, last_day, count)
    order = np.argsort(second, kind="stable")
    for begin in range(0, count, BATCH):
        part = order[begin : begin + BATCH]
        store(
            db, "events",
            'CAST(customer + 1 AS BIGINT) AS customer_id, $names[name] AS name, make_timestamp(happened) AS "at", value',
            {
                "customer": customer[part], "happened": START_US + second[part].astype(np.int64) * 1_000_000,
                "name": chosen(rng, len(part), POPULARITY), "value": rng.integers(0, 1000, len(part), dtype=np.int32),
            },
            {"names": NAMES},
        )  # fmt: skip


def activity(
    rng: np.random.Generator, first_day: np.ndarray, last_day: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Customer (from 0) and second (from the start) of every event, in no order."""
    weight = np.arange(1, len(first_day) + 1) ** -0.6
    rng.shuffle(weight)
    reach = np.cumsum(weight * (last_day - first_day))
    customer, second = np.empty(count, np.int32), np.empty(count, np.int32)
    for begin in range(0, count, BATCH):
        size = min(BATCH, count - begin)
        who = np.searchsorted(reach, np.sort(rng.random(size)) * reach[-1]).clip(max=len(reach) - 1)
        day = first_day[who] + rng.random(size) * (last_day[who] - first_day[who])
        customer[begin : begin + size] = who
        second[begin : begin + size] = np.minimum(day * 86_400, DAYS * 86_400 - 1)
    return customer, second


def chosen(rng: np.random.Generator, count: int, weights: list[float]) -> np.ndarray:
    """Places from 1 on, as SQL lists count them, drawn by weight."""
    reach = np.cumsum(weights) / np.sum(weights)
    return (np.searchsorted(reach, rng.random(count)).clip(max=len(weights) - 1) + 1).astype(np.int8)


def within(rng: np.random.Generator, count: int, days: int) -> np.ndarray:
    """Spans of whole seconds up to `days`, in microseconds."""
    return rng.integers(1, days * 86_400, count) * 1_000_000


def store(
    db: duckdb.DuckDBPyConnection, table: str, select: str, columns: Columns, words: dict[str, list[str]]
) -> None:
    """Append the columns, as `select` names them, to `table`."""
    db.register("made", columns)
    for name, values in words.items():
        select = select.replace(f"${name}[", f"{values!r}[")
    db.execute(f"CREATE TABLE IF NOT EXISTS {table} AS SELECT {select} FROM made LIMIT 0")
    db.execute(f"INSERT INTO {table} SELECT {select} FROM made")
    db.unregister("made")


if __name__ == "__main__":
    main()
