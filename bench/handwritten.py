"""The yardsticks: the work of `rules50.py` written by hand in SQL, as somebody would who had only these fifty rules.

    python bench/handwritten.py group|statement|queries COMPANY.duckdb

`group`      the bare GROUP BY customer: one pass over the events, nothing found
`statement`  one statement per table, every fact over its own horizon, then the candidates of all rules
`queries`    fifty queries, each of which works out for itself what its rule needs; customers are read once for all

Both ways of finding end with the `customer` and `candidate` tables the planner needs: checked addresses and numbered
zones, occurrences, anchors and what they rest on. Fingerprints over both must agree with the engine's.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from datetime import timedelta

import duckdb
from generate import ACTIONS, FEATURES, FIRST_STEPS
from rules50 import AS_OF, ZONES, BenchRule, rules

from engine.triggers.decline_codes import contact_sql, group_sql
from engine.warehouse.zones import create_zone_tables

NOW = f"TIMESTAMP '{AS_OF}'"
USES = [*FEATURES, *FIRST_STEPS]

_ATOM = "[a-z0-9!#$%&''*+/=?^_`{|}~-]+"
ADDRESS = rf"{_ATOM}(\.{_ATOM})*@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+([a-z0-9]([a-z0-9-]*[a-z])|[a-z])"


def ago(days: int) -> str:
    return f"TIMESTAMP '{AS_OF - timedelta(days=days)}'"


def day(instant: str) -> str:
    return f"strftime({instant}, '%Y-%m-%d')"


def listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# ── customers, read alike in every way ──────────────────────────────────────────────────────────────────────────────

CUSTOMER = f"""
    CREATE TABLE customer AS
    WITH checked AS (
        SELECT CAST(row_number() OVER () - 1 AS INTEGER) AS cust, customer_id AS id, plan, signed_up_at, timezone,
            coalesce(consent, FALSE) AS consent, trim(email) AS written,
            CASE WHEN length(written) <= 254 AND position('@' IN written) <= 65
                AND regexp_full_match(lower(written), '{ADDRESS}') THEN lower(written) END AS address
        FROM company.customers
    ), shared AS (SELECT address, min(cust) AS addr FROM checked GROUP BY address HAVING count(*) > 1)
    SELECT cust, id, CAST(id AS VARCHAR) AS customer_id, c.address, coalesce(shared.addr, cust) AS addr,
        CASE WHEN c.address IS NOT NULL THEN 'ok' WHEN coalesce(written, '') = '' THEN 'none' ELSE 'invalid' END AS address_state,
        coalesce(z.zone_no, 0) AS zone_no, consent, plan, signed_up_at
    FROM checked AS c LEFT JOIN shared ON shared.address = c.address LEFT JOIN zone AS z ON z.zone = c.timezone"""

# ── facts about events ──────────────────────────────────────────────────────────────────────────────────────────────

EVER = f"""SELECT customer_id AS id, max("at") AS last_at FROM company.events WHERE "at" < {NOW} GROUP BY 1"""


def last_uses(names: list[str]) -> str:
    columns = ", ".join(f"""max(CASE WHEN name = '{name}' THEN "at" END) AS {name}""" for name in names)
    return f"""SELECT customer_id AS id, {columns} FROM company.events
        WHERE "at" < {NOW} AND name IN ({listed(names)}) GROUP BY 1"""


def counted(days: int, columns: str, condition: str = "TRUE") -> str:
    return f"""SELECT customer_id AS id, {columns} FROM company.events
        WHERE "at" >= {ago(days)} AND "at" < {NOW} AND {condition} GROUP BY 1"""


def count_when(condition: str) -> str:
    return f"count(CASE WHEN {condition} THEN 1 END)"


def since(days: int, until: int = 0) -> str:
    return f'"at" >= {ago(days)}' + (f' AND "at" < {ago(until)}' if until else "")


def halves(days: int) -> str:
    """Events of the last `days` days, and of as many days before them."""
    return f"{count_when(since(2 * days, days))} AS before_{days}, {count_when(since(days))} AS now_{days}"


def lately(name: str) -> str:
    newest = f"max(CASE WHEN name = '{name}' AND {since(30)} THEN \"at\" END)"
    return f"{count_when(f'name = {name!r} AND {since(30)}')} AS {name}_times, {newest} AS {name}_at"


ACTIVE = f"name IN ({listed(ACTIONS)})"
LATELY = ", ".join(
    [*map(halves, (7, 14, 30)), *map(lately, ("view", "login")), f"{count_when(f'{ACTIVE} AND {since(30)}')} AS uses"]
)

# ── the other tables ────────────────────────────────────────────────────────────────────────────────────────────────

_OVER = "('canceled', 'cancelled', 'ended', 'expired', 'incomplete', 'incomplete_expired')"
OVER = f"""CASE WHEN ended_at IS NOT NULL THEN ended_at < {NOW} ELSE coalesce(lower(status) IN {_OVER}, FALSE) END"""
IN_SERVICE = f"""(started_at IS NULL OR started_at < {NOW}) AND
    CASE WHEN ended_at IS NOT NULL THEN ended_at >= {NOW} ELSE coalesce(lower(status) NOT IN {_OVER}, TRUE) END"""

SERVED = f"(SELECT DISTINCT customer_id AS id FROM company.subscriptions WHERE {IN_SERVICE})"

CODE = {"decline_code": "decline_code"}
OWED = f"""
    SELECT customer_id AS id, invoice_id, subscription_id, {group_sql(CODE)} AS grp, {contact_sql(CODE)} AS contact,
        failed_at, count(*) OVER (PARTITION BY customer_id, currency) AS open_invoices
    FROM company.invoices
    WHERE failed_at < {NOW} AND (paid_at IS NULL OR paid_at >= {NOW}) AND amount_minor >= 1 AND currency IS NOT NULL
        AND status NOT IN ('void', 'uncollectible') AND NOT (paid_at IS NULL AND status = 'paid')
    QUALIFY row_number() OVER (PARTITION BY customer_id, currency ORDER BY failed_at, invoice_id) = 1"""

ENDED = f"""
    WITH s AS (
        SELECT c.cust, c.addr AS subject, subscription_id, started_at, ended_at, {IN_SERVICE} AS served
        FROM company.subscriptions AS t JOIN customer AS c ON c.id = t.customer_id
    )
    SELECT cust, subscription_id || ':' || {day("ended_at")} AS occurrence, ended_at AS anchor, ended_at AS rests_at
    FROM s ANTI JOIN s AS o ON o.subject = s.subject AND o.subscription_id <> s.subscription_id AND (
        o.served OR (o.started_at > s.ended_at AND o.started_at < {NOW})
        OR (o.ended_at < {NOW} AND (o.ended_at, o.subscription_id) > (s.ended_at, s.subscription_id)))
    WHERE NOT served AND ended_at < {NOW}"""


def dated(instant: str, rests_at: str, condition: str, more: str = "") -> str:
    """Candidates about a coming date of a subscription, which occurrence names in the customer's zone."""
    return f"""
    SELECT c.cust, subscription_id || ':' || {day(f"{instant} + to_seconds(z.offset_s)")} AS occurrence,
        {instant} AS anchor, {rests_at} AS rests_at
    FROM company.subscriptions AS s JOIN customer AS c ON c.id = s.customer_id {more}
    JOIN zone_span AS z ON z.zone_no = c.zone_no AND z.year = year({instant})
        AND z.utc_from <= {instant} AND {instant} < z.utc_to
    WHERE {instant} IS NOT NULL AND {condition}"""


NONE = "CAST(NULL AS TIMESTAMP)"
CARDS = dated("card_expires_at", "card_expires_at", "status = 'active'")
TRIALS = dated("trial_end", NONE, f"trial_end >= {NOW} AND {IN_SERVICE}")
RENEWALS = dated("current_period_end", NONE, f"current_period_end >= {NOW} AND {IN_SERVICE}")
YEARLY = f"current_period_end >= {NOW} AND {IN_SERVICE} AND lower(interval) = 'year'"


# ── candidates: SELECT cust, occurrence, anchor, rests_at ───────────────────────────────────────────────────────────


def payment(rule: BenchRule, owed: str) -> str:
    groups = f"AND grp IN ({listed(list(rule.of['groups']))})" if "groups" in rule.of else ""
    twice = "AND open_invoices >= 2" if rule.of.get("twice") else ""
    return f"""SELECT cust, invoice_id || ':' || grp AS occurrence, failed_at AS anchor, {NONE} AS rests_at
        FROM {owed} AS o JOIN customer AS c USING (id) WHERE contact = 'mail' AND grp <> 'fraud' {groups} {twice}
        AND subscription_id NOT IN (SELECT subscription_id FROM company.subscriptions WHERE {OVER})"""


def annual(uses: str) -> str:
    return dated(
        "current_period_end", NONE, f"{YEARLY} AND coalesce(uses, 0) < 5", f"LEFT JOIN {uses} AS u ON u.id = c.id"
    )


def drop(days: int, people: str) -> str:
    return f"""SELECT cust, 'drop-{days}-{AS_OF:%Y-%m}' AS occurrence, {NOW} AS anchor, {NONE} AS rests_at
        FROM {people} AS p WHERE before_{days} >= 10 AND now_{days} < 0.5 * before_{days}"""


def silence(days: int, people: str) -> str:
    return f"""SELECT cust, {day("last_at")} AS occurrence, last_at + INTERVAL {days} DAY AS anchor, last_at AS rests_at
        FROM {people} AS p WHERE last_at <= {ago(days)} AND in_service"""


def onboarding(event: str, days: int, people: str) -> str:
    return f"""SELECT cust, '{event}:' || {day("signed_up_at")} AS occurrence, signed_up_at + INTERVAL {days} DAY AS anchor,
        signed_up_at AS rests_at
        FROM {people} AS p WHERE signed_up_at <= {ago(days)} AND signed_up_at >= {ago(30)} AND {event} IS NULL AND in_service"""


def upsell(plan: str, event: str, least: int, people: str) -> str:
    return f"""SELECT cust, {day(f"{event}_at")} AS occurrence, {event}_at AS anchor, {event}_at AS rests_at
        FROM {people} AS p WHERE {event}_times >= {least} AND plan = '{plan}'"""


def feature(name: str, people: str) -> str:
    return f"""SELECT cust, coalesce({day(name)}, 'never') AS occurrence,
        coalesce({name} + INTERVAL 30 DAY, signed_up_at + INTERVAL 14 DAY) AS anchor, {name} AS rests_at
        FROM {people} AS p WHERE ({name} IS NULL OR {name} < {ago(30)}) AND last_at >= {ago(30)}
        AND signed_up_at <= {ago(14)} AND in_service"""


# ── the ways ────────────────────────────────────────────────────────────────────────────────────────────────────────


def group(db: duckdb.DuckDBPyConnection) -> None:
    db.execute(
        'CREATE TABLE silent AS SELECT customer_id, max("at") AS last_at FROM company.events GROUP BY customer_id'
    )


def statement(db: duckdb.DuckDBPyConnection) -> None:
    """Facts first, all in one statement; rules that find the same rows share a SELECT."""
    db.execute(CUSTOMER)
    # Three scans of a third of the names each take less time and memory than one of all.
    facts = [EVER, *(last_uses(USES[part::3]) for part in range(3)), counted(60, LATELY)]
    columns = ", ".join(f"e{number}.* EXCLUDE (id)" for number in range(len(facts)))
    joins = " ".join(f"LEFT JOIN ({select}) AS e{number} ON e{number}.id = c.id" for number, select in enumerate(facts))
    db.execute(
        f"""CREATE TABLE person AS SELECT c.*, s.id IS NOT NULL AS in_service, {columns}
        FROM customer AS c LEFT JOIN {SERVED} AS s ON s.id = c.id {joins}"""
    )
    db.execute(f"CREATE TABLE owed AS {OWED}")
    found: dict[str, list[int]] = {}
    for number, rule in enumerate(rules()):
        found.setdefault(_from_tables(rule), []).append(number)
    _find(db, found)


def _from_tables(rule: BenchRule) -> str:
    of = rule.of
    ways: dict[str, Callable[[], str]] = {
        "payment": lambda: payment(rule, "owed"), "card": lambda: CARDS, "trial": lambda: TRIALS,
        "renewal": lambda: RENEWALS, "annual": lambda: annual("person"), "cancelled": lambda: ENDED,
        "drop": lambda: drop(of["days"], "person"), "silence": lambda: silence(of["days"], "person"),
        "onboarding": lambda: onboarding(of["event"], of["days"], "person"),
        "upsell": lambda: upsell(of["plan"], of["event"], of["least"], "person"),
        "feature": lambda: feature(of["feature"], "person"),
    }  # fmt: skip
    return ways[rule.family]()


def queries(db: duckdb.DuckDBPyConnection) -> None:
    """Every rule reads its own tables."""
    db.execute(CUSTOMER)
    _find(db, {_by_itself(rule) + f" -- {rule.id}": [number] for number, rule in enumerate(rules())})


def _by_itself(rule: BenchRule) -> str:
    of, served = rule.of, f"JOIN {SERVED} AS s USING (id)"
    days, name = of.get("days", 0), of.get("event") or of.get("feature")
    if rule.family == "payment":
        return payment(rule, f"({OWED})")
    if rule.family == "annual":
        return annual(f"({counted(30, 'count(*) AS uses', ACTIVE)})")
    if rule.family == "drop":
        return drop(days, _people(f"before_{days}, now_{days}", counted(2 * days, halves(days))))
    if rule.family == "silence":
        return silence(days, _people("last_at, TRUE AS in_service", EVER, served))
    if rule.family == "onboarding":
        return onboarding(
            name, days, _people(f"{name}, TRUE AS in_service", last_uses([name]), served, how="LEFT JOIN")
        )
    if rule.family == "upsell":
        times = counted(30, f'count(*) AS {name}_times, max("at") AS {name}_at', f"name = '{name}'")
        return upsell(of["plan"], name, of["least"], _people(f"{name}_times, {name}_at", times))
    if rule.family == "feature":
        active = f"JOIN ({counted(30, NEWEST)}) AS a USING (id) {served}"
        return feature(
            name, _people(f"last_at, {name}, TRUE AS in_service", last_uses([name]), active, how="LEFT JOIN")
        )
    return _from_tables(rule)


NEWEST = 'max("at") AS last_at'


def _people(columns: str, facts: str, joins: str = "", how: str = "JOIN") -> str:
    return f"(SELECT c.*, {columns} FROM customer AS c {joins} {how} ({facts}) AS e USING (id))"


def _find(db: duckdb.DuckDBPyConnection, found: dict[str, list[int]]) -> None:
    """`candidate` as the planner reads it; its last columns are the same for all of these rules."""
    db.execute(
        "CREATE TABLE candidate (rule_no USMALLINT, cust INTEGER, occurrence VARCHAR, anchor TIMESTAMP, "
        "rests_at TIMESTAMP, ended BOOLEAN, goal_at TIMESTAMP, failing_steps UINTEGER)"
    )
    for select, numbers in found.items():
        which = f"{numbers[0]}" if len(numbers) == 1 else f"unnest({numbers})"
        db.execute(
            f"INSERT INTO candidate SELECT {which}, cust, occurrence, anchor, rests_at, FALSE, NULL, 0 FROM ({select}\n)"
        )


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────────────

FINGERPRINT = """
    SELECT count(*), CAST(sum(hash(rule_no, p.customer_id, occurrence, anchor, rests_at, ended, goal_at, failing_steps)) AS VARCHAR)
    FROM candidate JOIN {people} AS p USING (cust)"""
PEOPLE_FINGERPRINT = """
    SELECT count(*), CAST(sum(hash(customer_id, address, address_state, zone_no, consent)) AS VARCHAR), count(DISTINCT addr)
    FROM {people}"""


def fingerprint(db: duckdb.DuckDBPyConnection, people: str) -> list[object]:
    """Numbers that agree only where customers and candidates do, whatever the order of rows."""
    return [
        value
        for text in (FINGERPRINT, PEOPLE_FINGERPRINT)
        for value in db.execute(text.format(people=people)).fetchall()[0]
    ]


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_rss_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def connect(company: str) -> duckdb.DuckDBPyConnection:
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    db.execute(f"ATTACH '{company}' AS company (READ_ONLY)")
    create_zone_tables(db, ZONES)
    db.execute(
        "CREATE TABLE zone AS SELECT unnest(?) AS zone, unnest(?::INTEGER[]) AS zone_no",
        [ZONES, list(range(len(ZONES)))],
    )
    return db


WAYS: dict[str, Callable[[duckdb.DuckDBPyConnection], None]] = {
    "group": group,
    "statement": statement,
    "queries": queries,
}


def main() -> None:
    way, company = sys.argv[1:3]
    db = connect(company)
    begun = cpu_s()
    WAYS[way](db)
    figures = {"cpu_s": round(cpu_s() - begun, 3), "rss_mb": peak_rss_mb()}
    if way != "group":
        figures["fingerprint"] = fingerprint(db, "customer")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
